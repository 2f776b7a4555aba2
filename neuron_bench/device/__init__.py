"""What this machine has: chips by name, probe levels, and telemetry."""
