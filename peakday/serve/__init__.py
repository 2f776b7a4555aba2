"""`peakday serve`: scenarios, records, what-ifs and the assistant of one folder as pages on this machine."""
