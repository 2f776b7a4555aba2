"""What the agent may change, behind a small protocol."""
