"""What automatic purchases a run set off, as our own assistant's test endpoint tells."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from loadgen.quantiles import censored_quantile

WITHIN_S = 10.0


def autobuy_totals(url: str | None) -> dict[str, Any] | None:
    """Purchases, doubles, delay and saving; None without a test endpoint, or when it does not answer."""
    if url is None:
        return None
    try:
        with urllib.request.urlopen(f"{url}/test/purchases", timeout=WITHIN_S) as response:  # noqa: S310 (loopback)
            told = json.loads(response.read())
    except (urllib.error.URLError, OSError, json.JSONDecodeError):
        return None
    return summarise(told["purchases"], told.get("rules", {}))


def summarise(purchases: Sequence[Mapping[str, Any]], rules: Mapping[str, int]) -> dict[str, Any]:
    """A rule buys once in its life: a second purchase of the same rule is a double one."""
    delays_s = np.array([row["autobuy_delay_s"] for row in purchases], dtype=np.float64)
    known = np.zeros(len(delays_s), dtype=bool)
    savings = [row["saving_ratio"] for row in purchases]
    return {
        "purchases": len(purchases),
        "double_purchases": len(purchases) - len({row["rule_id"] for row in purchases}),
        "delay_s": {f"p{int(share * 100)}": vars(censored_quantile(delays_s, known, share)) for share in (0.5, 0.99)},
        "saving_ratio_mean": float(np.mean(savings)) if savings else None,
        "rules": dict(rules),
    }
