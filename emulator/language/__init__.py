"""What the models say, and how many tokens it is."""
