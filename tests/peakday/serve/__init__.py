"""`peakday serve`."""
