"""Which model: shapes with exact counts, presets, and a user's own config.json."""
