"""What a bench says in a few rows, and two benches side by side."""
