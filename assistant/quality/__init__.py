"""Measured quality: finished turns are sampled, scored by a judge off the measured path, and summed up as data."""
