"""Bedrock Runtime's protocol: Converse, ConverseStream and CountTokens."""
