"""When models leave Bedrock: a call to one past its end of life fails, and one in extended access may cost more."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache

from facts.model_names import base_id
from facts.reader import Model, keyed


@dataclass(frozen=True)
class Lifecycle:
    """Announced dates of one model, ISO days; None = not announced. A region may keep a model longer."""

    model: str
    model_id: str
    legacy_date: str | None
    extended_access_date: str | None
    end_of_life: str | None
    status: str
    source: str
    source_date: str


@cache
def lifecycles() -> Mapping[str, Lifecycle]:
    """Models with an announced end, by the id without a profile's prefix."""
    return keyed(Lifecycle, "model_lifecycle.csv", "model_id")


def lifecycle_warning(model: Model, first_day: date, last_day: date) -> str | None:
    """What an event of these days must know of a model: gone before it or in it, or in its extended access."""
    known = lifecycles().get(base_id(model.model_id)) if model.supply == "bedrock" else None
    if known is None:
        return None
    source = f"{known.source}, {known.source_date}"
    if known.end_of_life is not None and date.fromisoformat(known.end_of_life) <= last_day:
        when = "before the event" if date.fromisoformat(known.end_of_life) < first_day else "during the event"
        return (
            f"{model.key}: {known.model} ends on {known.end_of_life}, {when}: calls to it fail from then on; "
            f"choose another model ({source})"
        )
    if known.extended_access_date is not None and date.fromisoformat(known.extended_access_date) <= last_day:
        return (
            f"{model.key}: {known.model} is in public extended access from {known.extended_access_date} to "
            f"{known.end_of_life}: its price may rise, and accounts that did not use it have no access ({source})"
        )
    return None
