"""The chat page: a product page beside a conversation, with cart, rules, orders, and what each turn took."""
