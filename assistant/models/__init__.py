"""Model clients, and what a turn does with them: one request shape, one reply shape, three wires."""
