"""The study: what capacity predicts for a real serving engine, held against what that engine then did."""
