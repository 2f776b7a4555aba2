"""Bytes to meaning: SSE, event-stream decoding, request signing. Pure functions over bytes."""
