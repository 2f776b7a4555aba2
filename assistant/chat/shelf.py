"""What the chat page shows beside the conversation: one product, and what is the customer's own."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict
from datetime import UTC, datetime

from assistant.autobuy.rules import RuleBook
from assistant.shop.catalogue import Catalogue
from assistant.shop.store import Store
from assistant.tools.orders import orders_of
from assistant.tools.spec import ToolContext

HISTORY_DAYS = 30
ORDERS_SHOWN = 8
SEARCH_SHOWN = 8


class Shelf:
    """Reads for the page; it writes nothing. `context_of` gives a customer's view of the store (customer, locale)."""

    def __init__(
        self, catalogue: Catalogue, store: Store, rules: RuleBook, context_of: Callable[[str, str], ToolContext]
    ) -> None:
        self._catalogue, self._store, self._rules = catalogue, store, rules
        self._context_of = context_of

    def product(self, product_id: str) -> dict[str, object] | None:
        """A product with its prices of thirty days; `price_now` is the last tick's where there was one."""
        product = self._catalogue.product(product_id)
        if product is None:
            return None
        now = self._context_of("", "en_US").now
        days = self._catalogue.price_history(product_id, now, HISTORY_DAYS)
        ticked = self._rules.price(product_id)
        return {**product, "history": days, "price_now": product["price"] if ticked is None else ticked}

    def unknown(self, product_ids: Iterable[str]) -> str | None:
        """The first of these ids that is no product's; None where all are."""
        return next((one for one in product_ids if self._catalogue.product(one) is None), None)

    def search(self, query: str) -> list[dict[str, object]]:
        """Products by words, for the page's own finder."""
        return [
            {"product_id": row["product_id"], "title": row["title"], "price": row["price"]}
            for row in self._catalogue.search(query, SEARCH_SHOWN, None, self._rules.prices())
        ]

    def account(self, customer_id: str) -> dict[str, object]:
        """The customer's cart, rules, purchases, orders and remembered facts."""
        context = self._context_of(customer_id, "en_US")
        return {
            "cart": [{**row, **self._named(row["product_id"])} for row in self._store.cart(customer_id)],
            "rules": [
                {
                    **{key: value for key, value in asdict(rule).items() if key in _RULE_KEYS},
                    **self._named(rule.product_id),
                    "until": datetime.fromtimestamp(rule.expires_s, UTC).date().isoformat(),
                }
                for rule in self._rules.of_customer(customer_id)
            ],
            "purchases": [
                {**asdict(one), **self._named(one.product_id), "saving_ratio": one.saving_ratio}
                for one in self._rules.purchases(customer_id)
            ],
            "orders": orders_of(context)[:ORDERS_SHOWN],
            "facts": self._store.facts(customer_id),
            "auto_buy": self._rules.is_enabled(),
        }

    def _named(self, product_id: str) -> dict[str, object]:
        product = self._catalogue.product(product_id)
        return {"title": product["title"] if product else product_id, "price_listed": product and product["price"]}


_RULE_KEYS = ("rule_id", "kind", "product_id", "target_price", "quantity", "price_at_creation", "state")
