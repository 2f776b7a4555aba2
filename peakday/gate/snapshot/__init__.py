"""Figures that no clock touches, against a baseline."""
