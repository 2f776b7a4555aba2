"""What will customers do, minute by minute? YAML in, `Scenario` out."""
