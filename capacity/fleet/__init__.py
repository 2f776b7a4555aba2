"""How many replicas, instances and chips, and with what certainty?"""
