"""The rule book: price rules and what became of them, as a protocol with one backend on sqlite and one on DynamoDB.

A rule's life: active -> matched (price met) -> claimed (a worker looks) -> paying (price fixed, charge may exist) ->
bought. A claim has a lease, so that a worker that dies is replaced; what was paying goes on paying at the price it had.
A match that was not bought within the window goes back to active. Ends: bought, notified (alerts), expired,
payment_failed, capped. Every change of state is conditional on the state before it, so racing workers cannot both
make it, and each end writes its notification in the same transaction. Moments are seconds since the epoch, UTC.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol, TypedDict

from assistant.autobuy.months import RULE_MONTHS, add_months

WINDOW_S = 1_800.0
"""A purchase follows its match within this. Source: facts/rufus.md, "purchase within 30 min of the price condition"."""
LEASE_S = 120.0
DAY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class Rule:
    """One price rule as it stood when it was read."""

    rule_id: str
    kind: str
    customer_id: str
    product_id: str
    target_price: float
    quantity: int
    price_at_creation: float
    created_s: float
    expires_s: float
    state: str
    matched_s: float | None
    paying_price: float | None
    worker: str | None
    lease_s: float | None


@dataclass(frozen=True, slots=True)
class Purchase:
    """One rule that was bought."""

    rule_id: str
    customer_id: str
    product_id: str
    quantity: int
    price: float
    price_at_creation: float
    matched_s: float
    bought_s: float
    payment_reference: str

    @property
    def autobuy_delay_s(self) -> float:
        """From the match to the purchase."""
        return self.bought_s - self.matched_s

    @property
    def saving_ratio(self) -> float:
        """Against the price when the rule was made."""
        return 1 - self.price / self.price_at_creation


@dataclass(frozen=True, slots=True)
class Notice:
    """One message to a customer about a rule."""

    kind: str
    body: Mapping[str, float | str]
    at_s: float


class StandingRule(TypedDict):
    """An auto-buy rule that a scenario's world begins with."""

    rule_id: str
    customer_id: str
    product_id: str
    target_price: float
    quantity: int


def new_rule(
    rule_id: str,
    kind: str,
    customer_id: str,
    product_id: str,
    target_price: float,
    quantity: int,
    price_now: float,
    now: datetime,
) -> Rule:
    """A rule (`alert` or `auto_buy`) as it begins."""
    expires_s = add_months(now.astimezone(UTC), RULE_MONTHS).timestamp()
    return Rule(
        rule_id, kind, customer_id, product_id, target_price, quantity, price_now, now.timestamp(), expires_s, "active",
        None, None, None, None,
    )  # fmt: skip


def standing_rule(row: StandingRule, price_now: float, now: datetime) -> Rule:
    """An auto-buy rule of the scenario's world, which counts as made now."""
    return new_rule(
        row["rule_id"], "auto_buy", row["customer_id"], row["product_id"], row["target_price"], row["quantity"],
        price_now, now,
    )  # fmt: skip


def notice_body(rule: Rule, more: Mapping[str, float | str]) -> dict[str, float | str]:
    """What a message about a rule holds."""
    return {"rule_id": rule.rule_id, "product_id": rule.product_id, "target_price": rule.target_price, **more}


class RuleBook(Protocol):
    """Rules, for the agent that writes them, the prices that match them and the workers that act on them."""

    def create(self, rule: Rule) -> Rule:
        """Write a new rule, once for its id; a price that is met already matches it at once."""

    def adopt(self, rows: Iterable[StandingRule], price_of: Mapping[str, float], now: datetime) -> None:
        """Take over standing auto-buy rules of the scenario's world, each once; they count as made now."""

    def of_customer(self, customer_id: str) -> list[Rule]:
        """A customer's rules, oldest first."""

    def tick(self, prices: Iterable[tuple[str, float]], now_s: float) -> int:
        """Record new prices and match rules against them; returns how many rules matched."""

    def price(self, product_id: str) -> float | None:
        """The last tick's price."""

    def prices(self) -> dict[str, float]:
        """The last tick's price of every product that had one."""

    def sweep(self, now_s: float) -> int:
        """End rules that are too old, and let matches go that missed their window; returns how many moved."""

    def claim(self, worker: str, limit: int, now_s: float) -> list[Rule]:
        """Take rules to work on: matched ones that are due, and those whose worker's lease ran out."""

    def begin_payment(self, rule: Rule, price: float, cap_usd_per_day: float, now_s: float) -> str | None:
        """Fix the price before anything is charged; returns `paying`, `capped`, or None when the claim is lost.

        The cap counts purchases of the last day and payments under way, so that two workers cannot both pass it. A
        kill switch turned off meanwhile is seen here too: the rule is matched again and waits.
        """

    def settle(self, rule: Rule, price: float, payment_reference: str, now_s: float) -> bool:
        """Record the purchase of a rule that is paying; False when it is no longer this worker's to record."""

    def payment_failed(self, rule: Rule, now_s: float) -> bool:
        """End a rule whose payment was declined."""

    def release(self, rule: Rule, state: str, not_before_s: float | None = None) -> bool:
        """Give a rule back: `matched`, to be tried again from a moment on, or `active`, to wait for another match."""

    def set_enabled(self, enabled: bool) -> None:
        """The kill switch: while off, no rule is claimed and no payment begins; rules keep matching and wait."""

    def is_enabled(self) -> bool:
        """Whether workers may buy."""

    def purchases(self, customer_id: str | None = None) -> list[Purchase]:
        """Purchases, newest first: a customer's, or all."""

    def outbox(self, customer_id: str) -> list[Notice]:
        """A customer's notifications, oldest first."""

    def states(self) -> dict[str, int]:
        """How many rules are in each state."""

    def close(self) -> None:
        """Release files or connections."""
