"""Pages: one file each, no request to anywhere."""
