"""What runs inside a load worker: the wire, the driver and its own health. Callbacks run in the hub and never block."""
