"""The worker's step: buy what matched, within its window, at most once, within the caps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from assistant.autobuy.payments import PaymentDeclined, Payments, charge_key
from assistant.autobuy.rules import WINDOW_S, Rule, RuleBook
from assistant.shop.rows import Product

SPEND_CAP_USD_PER_DAY = 2_000.0
"""Default ceiling on what automatic purchases may cost one customer in 24 hours; a policy of this shop."""
_CLAIM_RULES = 20
_RESTOCK_WAIT_S = 60.0


@dataclass(frozen=True, slots=True)
class Bought:
    """One purchase: the delay from match to purchase, and the saving against the price at creation."""

    rule_id: str
    autobuy_delay_s: float
    saving_ratio: float


class Buyer:
    """Buys matched rules.

    Args:
        product_of: the product's row (`price`, `in_stock`), or None when it is gone.
        clock: seconds since the epoch, by the data's clock.
        worker: a name no other worker has.
    """

    def __init__(
        self,
        book: RuleBook,
        payments: Payments,
        product_of: Callable[[str], Product | None],
        clock: Callable[[], float],
        worker: str,
        spend_cap_usd_per_day: float = SPEND_CAP_USD_PER_DAY,
    ) -> None:
        self._book = book
        self._payments = payments
        self._product_of = product_of
        self._clock = clock
        self._worker = worker
        self._spend_cap_usd = spend_cap_usd_per_day

    def step(self) -> list[Bought]:
        """Buy one batch; nothing while the kill switch is off."""
        self._book.sweep(self._clock())
        if not self._book.is_enabled():
            return []
        rules = self._book.claim(self._worker, _CLAIM_RULES, self._clock())
        return [bought for rule in rules if (bought := self._work(rule)) is not None]

    def _work(self, rule: Rule) -> Bought | None:
        assert rule.matched_s is not None, "a claimed rule was matched"
        if self._clock() - rule.matched_s > WINDOW_S:
            # Too late to buy. If a worker died while paying, its charge is undone before the rule waits again.
            if rule.state == "paying":
                self._payments.void(charge_key(rule.rule_id, rule.matched_s))
            self._book.release(rule, "active")
            return None
        if rule.state == "paying":
            assert rule.paying_price is not None, "the price is fixed before paying"
            return self._pay(rule, rule.matched_s, rule.paying_price)
        price = self._price(rule)
        if price is None:
            return None
        state = self._book.begin_payment(rule, price, self._spend_cap_usd, self._clock())
        return self._pay(rule, rule.matched_s, price) if state == "paying" else None

    def _price(self, rule: Rule) -> float | None:
        """The price to pay now, or None when the rule was given back: sold out, or no longer cheap enough."""
        product = self._product_of(rule.product_id)
        if product is None or not product["in_stock"]:
            self._book.release(rule, "matched", self._clock() + _RESTOCK_WAIT_S)
            return None
        ticked = self._book.price(rule.product_id)
        price = float(product["price"]) if ticked is None else ticked
        if price > rule.target_price:
            self._book.release(rule, "active")
            return None
        return price

    def _pay(self, rule: Rule, matched_s: float, price: float) -> Bought | None:
        """Charge, then record. A crash in between repeats both under the same key, and charges once."""
        try:
            key = charge_key(rule.rule_id, matched_s)
            reference = self._payments.charge(key, rule.customer_id, price * rule.quantity)
        except PaymentDeclined:
            self._book.payment_failed(rule, self._clock())
            return None
        now_s = self._clock()
        if now_s - matched_s > WINDOW_S:
            return None  # charged too late: the lease will run out, and whoever claims the rule next undoes the charge
        if not self._book.settle(rule, price, reference, now_s):
            return None
        return Bought(rule.rule_id, now_s - matched_s, 1 - price / rule.price_at_creation)
