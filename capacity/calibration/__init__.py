"""From timings of a real engine to a step model, and back: how well it predicts."""
