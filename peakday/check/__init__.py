"""Statistics over records: gates for performance regressions."""
