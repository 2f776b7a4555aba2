"""The one set of numbers that every view shows."""
