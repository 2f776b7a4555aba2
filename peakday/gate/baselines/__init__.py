"""What a build was like, as small files that a person reviews."""
