"""HTTP/1.1 served on absolute due times."""
