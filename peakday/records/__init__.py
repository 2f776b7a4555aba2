"""Records on disk: their folders, reports and comparisons."""
