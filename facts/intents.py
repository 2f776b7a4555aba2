"""What customers ask for, as scenarios, the router and its classifier name it."""

INTENTS = (
    "product_question", "comparison", "recommendation", "product_search", "deals", "price_history", "price_alert",
    "auto_buy", "reorder", "order_status", "order_change", "delivery", "returns_refunds", "payment", "account",
    "account_memory", "web_lookup", "human_agent", "out_of_scope",
)  # fmt: skip
COMPLEXITIES = ("simple", "complex")
