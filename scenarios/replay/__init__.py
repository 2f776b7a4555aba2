"""Replays of a trace: which calls a run makes, after what, and with which prompts; and the file that says so."""
