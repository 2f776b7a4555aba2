"""A load run from what was typed."""
