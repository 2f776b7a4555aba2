"""Is a build slower than another by more than its margin?"""
