"""How long does a request take on one replica, and how many does it serve at its SLO?"""
