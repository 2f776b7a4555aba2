"""What share of a prompt is read from a cache?"""
