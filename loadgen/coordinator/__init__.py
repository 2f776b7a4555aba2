"""What the master of a run does: start the workers together, add up, watch, and end."""
