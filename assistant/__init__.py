"""The routed shopping agent, our system under test: a message in, an answer and its token usage out."""
