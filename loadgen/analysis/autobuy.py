"""What automatic purchases a run set off, as our own assistant's test endpoint tells, and what they did to the chat."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypedDict

import numpy as np

from host.control_token import control_headers
from host.fetch import FetchError, fetch
from loadgen.record import Run
from loadgen.run_info import AutobuyTotals, ChatAroundStorm
from slo.quantiles import censored_values, quantile

WITHIN_S = 10.0
AROUND_STORM_S = 60.0
"""The chat is compared over so long before and after the first tick that sets a storm of rules off."""
TURNS_MIN = 20


class Charged(TypedDict):
    """A charge of the payment provider's ledger."""

    rule_id: str


class Bought(Charged):
    """A purchase of the rule book."""

    autobuy_delay_s: float
    saving_ratio: float


def autobuy_totals(url: str | None, run: Run) -> AutobuyTotals | None:
    """Purchases, doubles, delay, saving and the chat around a storm; None without a test endpoint that answers."""
    if url is None:
        return None
    try:
        book = json.loads(fetch(f"{url}/test/purchases", within_s=WITHIN_S, headers=control_headers(url)))
    except (FetchError, ValueError):
        return None
    try:
        totals = summarise(book["purchases"], book.get("rules", {}), book.get("charges"))
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
        return None  # of another shape: somebody else's endpoint, or a broken one
    return replace(totals, chat_ttft_s=chat_around_storm(run))


def chat_around_storm(run: Run) -> ChatAroundStorm | None:
    """TTFT of the chat's turns before and after the first storm of rules; None where either side is too thin."""
    storms = run.events.loc[run.events["stream"].eq("rule_storms"), "sent_s"]
    if storms.empty:
        return None
    at_s = float(storms.min())
    start_s = run.turns["intended_start_s"]
    sides = {
        "before": run.turns[start_s.between(at_s - AROUND_STORM_S, at_s, inclusive="left")],
        "after": run.turns[start_s.between(at_s, at_s + AROUND_STORM_S, inclusive="left")],
    }
    pairs = {name: censored_values(turns, "ttft_s")[:2] for name, turns in sides.items()}
    if min(len(values) for values, _ in pairs.values()) < TURNS_MIN:
        return None
    quantiles = {
        name: {f"p{round(share * 100)}": quantile(*pair, share) for share in (0.5, 0.95)}
        for name, pair in pairs.items()
    }
    change = {
        share: after.value / before.value - 1
        for share, before in quantiles["before"].items()
        if before.value and (after := quantiles["after"][share]).value is not None
    }
    return ChatAroundStorm(at_s, quantiles["before"], quantiles["after"], change)


def summarise(
    purchases: Sequence[Bought], rules: Mapping[str, int], charges: Sequence[Charged] | None = ()
) -> AutobuyTotals:
    """A rule buys once in its life: a second purchase, or a second charge that stands, of one rule is a double one.

    `charges` are those that stand in the payment provider's own ledger, which knows nothing of rules: the rule book
    cannot even write a rule's second purchase down, so without a ledger (None) doubles are not known either.
        Delay and saving are of the purchases that the endpoint listed (`listed`); `waiting` rules are matched but not
    bought yet.
    """
    delays_s = np.array([row["autobuy_delay_s"] for row in purchases], dtype=np.float64)
    known = np.zeros(len(delays_s), dtype=bool)
    savings = [row["saving_ratio"] for row in purchases]
    return AutobuyTotals(
        purchases=max(len(purchases), rules.get("bought", 0)),
        listed=len(purchases),
        waiting=rules.get("matched", 0),
        charges=None if charges is None else len(charges),
        double_purchases=None if charges is None else _doubles(purchases, charges),
        delay_s={f"p{int(share * 100)}": quantile(delays_s, known, share) for share in (0.5, 0.99)},
        saving_ratio_mean=float(np.mean(savings)) if savings else None,
        rules=dict(rules),
    )


def _doubles(purchases: Sequence[Bought], charges: Sequence[Charged]) -> int:
    """Purchases or charges, whichever are more, beyond one a rule: a payment under way has its charge first."""
    bought = Counter(row["rule_id"] for row in purchases) | Counter(row["rule_id"] for row in charges)
    return bought.total() - len(bought)
