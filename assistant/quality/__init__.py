"""Judged quality: finished turns are sampled, judged off the measured path, and summed up as data."""
