"""Model clients: one request shape, one reply shape, three wires."""
