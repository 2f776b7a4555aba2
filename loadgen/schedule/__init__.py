"""Which turn is due when, and what will a run ask for?"""
