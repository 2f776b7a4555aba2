"""The route `endpoint`: any OpenAI-compatible server, swept over HTTP."""
