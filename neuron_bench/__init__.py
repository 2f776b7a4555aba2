"""What can one chip do with one model? Bench spec in, `BenchRecord` and `StepModel` out."""
