"""Did this build get worse? Statistics over records."""
