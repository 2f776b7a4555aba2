"""What to buy for a need that changes over the event: commitments for their whole term, the rest by the hour."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp

from capacity.cost.hours import HOUR_S
from capacity.plan import PlanError
from capacity.simulator.requests import Floats, Ints


@dataclass(frozen=True)
class PurchaseOption:
    """A way to have one instance of a type in each zone. term_h: None is paid by the hour, in the hours it is used.

    A commitment is charged for its whole term, however short the event, and again for each term the event takes.
    owned: already paid for, up to so many.
    calls_per_s: what the instances of one such group carry with the zones to be lost, drained and broken left out.
    """

    name: str
    usd_per_hour: float
    calls_per_s: float
    term_h: float | None = None
    owned: int = 0

    def __post_init__(self) -> None:
        if self.term_h is not None and not self.term_h > 0:
            raise PlanError(f"{self.name}: a commitment of {self.term_h:g} hours is no commitment; give term_h > 0")

    def commitment_usd(self, event_h: float) -> float:
        """What holding one more throughout costs: whole terms, one after the other, until the event is over."""
        if self.term_h is None:
            return 0.0
        return self.usd_per_hour * self.term_h * max(1, math.ceil(round(event_h / self.term_h, 9)))


@dataclass(frozen=True)
class Bought:
    """Groups held throughout, by offer, and groups held in each hour, by offer [offers, hours]; with the bill."""

    held: dict[str, int]
    hourly: dict[str, Ints]
    usd: float


def buy(calls_per_s: Floats, offers: Sequence[PurchaseOption], lasts_h: Floats | None = None) -> Bought:
    """The cheapest mix that carries the need of every hour.

    Args:
        calls_per_s: [hours], the highest need in each hour, warm-up lag already looked ahead.
        lasts_h: [hours] billed for each, an hour where None: the first has the warm-up too, the last may be short.
    Raises:
        PlanError: no offer carries anything.
    Source: a mixed-integer program, solved by HiGHS (scipy.optimize.milp).
    """
    useful = [offer for offer in offers if offer.calls_per_s > 0]
    if not useful:
        raise PlanError("nothing to buy: no offer serves a call at its SLO")
    hours, by_hour = len(calls_per_s), [offer for offer in useful if offer.term_h is None]
    billed_h = np.ones(hours) if lasts_h is None else lasts_h
    columns = len(useful) + len(by_hour) * hours
    price = np.zeros(columns)
    price[: len(useful)] = [offer.commitment_usd(float(billed_h.sum())) for offer in useful]
    carries = np.zeros((hours, columns))
    upper = np.full(columns, np.inf)
    for place, offer in enumerate(useful):
        carries[:, place] = offer.calls_per_s
        if offer.term_h is None:
            upper[place] = offer.owned
    for place, offer in enumerate(by_hour):
        for hour in range(hours):
            column = len(useful) + place * hours + hour
            price[column], carries[hour, column] = offer.usd_per_hour * billed_h[hour], offer.calls_per_s
    need = np.maximum(np.asarray(calls_per_s) - 1e-9, 0.0)
    solution = milp(
        price, constraints=LinearConstraint(carries, need), integrality=np.ones(columns), bounds=Bounds(0, upper)
    )
    if solution.x is None:
        raise PlanError(f"purchase mix: no solution ({solution.message})")
    counts = np.rint(solution.x).astype(np.int64)
    rented = counts[len(useful) :].reshape(len(by_hour), hours)
    return Bought(
        held={offer.name: int(count) for offer, count in zip(useful, counts[: len(useful)], strict=True) if count},
        hourly={offer.name: row for offer, row in zip(by_hour, rented, strict=True) if row.any()},
        usd=float(price @ counts),
    )


def hourly_need(offset_s: Floats, calls_per_s: Floats, length_s: float, warm_up_s: float) -> tuple[Floats, Floats]:
    """The highest rate of each hour, looking ahead by the warm-up, and how long each hour is billed.

    offset_s: when each rate begins, ascending.
    What an hour needs must be running when it begins; the first is warmed up before it, the last may be short.
    """
    hours = max(1, math.ceil(round(length_s / HOUR_S, 9)))
    ends_s = np.append(offset_s[1:], length_s)
    begins_s = np.arange(hours) * HOUR_S
    first = np.searchsorted(ends_s, begins_s, side="right")
    beyond = np.searchsorted(offset_s, begins_s + HOUR_S + warm_up_s, side="left")
    need = np.array([calls_per_s[a:b].max(initial=0.0) for a, b in zip(first, beyond, strict=True)])
    lasts_s = np.full(hours, HOUR_S)
    lasts_s[-1] = length_s - HOUR_S * (hours - 1)
    lasts_s[0] += warm_up_s
    return need, lasts_s / HOUR_S
