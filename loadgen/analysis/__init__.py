"""What do the rows of a run say, and may they be trusted?"""
