"""What takes time: a provider's latency, and a batching engine with its block cache."""
