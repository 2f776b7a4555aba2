"""What things cost in this plan: the facts, with the user's own prices laid over them and checked."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Any

from capacity.plan import InputNote, PlanError
from facts.reader import Instance, Model, instances, models

STALE_DAYS = 90


@dataclass(frozen=True)
class Commitment:
    """An offer that is charged for its whole term, however short the event."""

    instance: str
    usd_per_hour: float
    term_h: float


@dataclass(frozen=True)
class Prices:
    """Models with token prices, instances, and own hourly prices by instance type."""

    models: Mapping[str, Model]
    instances: Mapping[str, Instance]
    own_usd_per_hour: Mapping[str, float] = field(default_factory=dict)
    owned: Mapping[str, int] = field(default_factory=dict)  # instances already paid for, in each region
    commitments: tuple[Commitment, ...] = ()
    notes: tuple[InputNote, ...] = ()


def load_prices(overlay: Mapping[str, Any] | None, catalogue: Mapping[str, Model] | None = None) -> Prices:
    """Facts with an overlay of the user's own.

    `tokens: {MODEL: {input_usd_per_mtok: …}}`, `instances: {TYPE: {usd_per_hour: …}}`, `owned: {TYPE: count}` in each
    region, `commitments: [{instance: TYPE, usd_per_hour: …, term_h: 8760}]`.

    Raises:
        PlanError: an unknown model, instance or class; a negative or missing number; a cache read dearer than input.
    """
    overlay = overlay or {}
    if unknown := sorted(set(overlay) - {"tokens", "instances", "owned", "commitments"}):
        raise PlanError(f"prices.{unknown[0]}: unknown key; known: tokens, instances, owned, commitments")
    known = dict(catalogue or models())
    notes = []
    for name, entry in (overlay.get("tokens") or {}).items():
        model = known.get(name)
        if model is None or model.prices is None:
            raise PlanError(f"prices.tokens.{name}: no Bedrock model of that name; known: {', '.join(sorted(known))}")
        values: dict[str, Any] = {k: _positive(f"prices.tokens.{name}.{k}", v) for k, v in entry.items()}
        try:
            own = replace(model.prices, **(values | {"source": "own price", "source_date": ""}))
        except TypeError:
            raise PlanError(
                f"prices.tokens.{name}: keys are those of TokenPrices, such as input_usd_per_mtok"
            ) from None
        known[name] = replace(model, prices=own)
        notes.append(InputNote("prices", name, str(dict(entry)), "measured", "own price overlay"))
    hourly = {}
    boxes = instances()
    for name, entry in (overlay.get("instances") or {}).items():
        _known_box("instances", name, boxes)
        hourly[name] = _positive(f"prices.instances.{name}.usd_per_hour", entry.get("usd_per_hour"))
        notes.append(InputNote("prices", name, f"{hourly[name]} USD/h", "measured", "own price overlay"))
    for model in known.values():
        _check_order(model)
    owned = {}
    for name, count in (overlay.get("owned") or {}).items():
        _known_box("owned", name, boxes)
        owned[name] = int(_positive(f"prices.owned.{name}", count))
    return Prices(known, boxes, hourly, owned, _commitments(overlay.get("commitments") or (), boxes), tuple(notes))


def _commitments(rows: Sequence[Mapping[str, Any]], boxes: Mapping[str, Instance]) -> tuple[Commitment, ...]:
    found = []
    for number, row in enumerate(rows):
        where = f"prices.commitments[{number}]"
        if set(row) != {"instance", "usd_per_hour", "term_h"}:
            raise PlanError(
                f"{where}: needs instance, usd_per_hour and term_h; a commitment without a term is no price"
            )
        _known_box(where, row["instance"], boxes)
        usd, term_h = (_positive(f"{where}.{key}", row[key]) for key in ("usd_per_hour", "term_h"))
        found.append(Commitment(row["instance"], usd, term_h))
    return tuple(found)


def _known_box(where: str, name: str, boxes: Mapping[str, Instance]) -> None:
    if name not in boxes:
        raise PlanError(f"{where}.{name}: unknown instance type; see facts/data/instances.csv")


def stale_warning(price_date: str, now_utc: str, what: str) -> str | None:
    """A warning when a price was read more than 90 days before the plan."""
    try:
        read = date.fromisoformat(price_date[:10])
    except ValueError:
        return None
    age = (datetime.fromisoformat(now_utc.replace("Z", "+00:00")).date() - read).days
    if age <= STALE_DAYS:
        return None
    return f"{what}: price of {read} is {age} days old (over {STALE_DAYS}); read it again before ordering"


def _positive(where: str, value: Any) -> float:
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not math.isfinite(value) or value < 0:
        raise PlanError(f"{where}: {value!r} is no price; give USD >= 0")
    return float(value)


def _check_order(model: Model) -> None:
    prices = model.prices
    if prices is None or prices.cache_read_usd_per_mtok is None:
        return
    if prices.cache_read_usd_per_mtok > prices.input_usd_per_mtok:
        raise PlanError(
            f"prices of {model.key} contradict each other: a cache read ({prices.cache_read_usd_per_mtok:g}) "
            f"costs more than uncached input ({prices.input_usd_per_mtok:g} USD per million tokens)"
        )
