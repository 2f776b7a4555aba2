"""What happened when we did it? `Scenario` in, `RunRecord` out."""
