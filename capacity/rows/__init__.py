"""Rows of a plan, frozen: what `capacity/plan.py` is made of."""
