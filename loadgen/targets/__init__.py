"""How to ask each kind of target for a turn, and how to read its answer."""
