"""What to book and which quotas to ask for."""
