"""The OpenAI-compatible protocol as vLLM serves it."""
