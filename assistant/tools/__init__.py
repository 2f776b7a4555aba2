"""What the agent can do: schemas, checks, and the functions behind them."""
