"""The model providers on this machine: Bedrock's and OpenAI's protocols with real time behind them."""
