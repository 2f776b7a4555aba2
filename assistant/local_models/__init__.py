"""Stand-ins for the model providers: Bedrock's and an OpenAI-compatible server's protocol, on this machine."""
