"""From measured or published figures to a step model."""
