"""A plan from what was typed."""
