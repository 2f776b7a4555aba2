"""The shop's own data: products, customers, orders, a small web, and what the agent may change."""
