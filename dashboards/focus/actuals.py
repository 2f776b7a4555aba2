"""A bill in FOCUS' form beside a plan: what each part was planned to cost, with its range, and what was billed for it.

A row counts by the share of its charge period that lies within the event. Tokens are matched by region and model,
instances by region and type; what matches no part of the plan is shown as such: it is a cost that nobody planned.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from math import isfinite
from pathlib import Path

from capacity.plan import Plan
from dashboards.focus.columns import ADJUSTMENT, BEDROCK, CURRENCY, EC2, Charge
from dashboards.focus.plan_charges import plan_charges
from facts import reader
from facts.model_names import words
from host.errors import PeakdayError
from host.tables import columns_of, table_rows
from wire.text import Untrusted

NEEDED = ("ServiceName", "ChargePeriodStart", "ChargePeriodEnd", "BillingCurrency")
COSTS = ("EffectiveCost", "BilledCost")
_TEXTS = (
    "SkuMeter", "SkuId", "SkuPriceDetails", "ChargeDescription", "ResourceId", "ResourceName", "x_UsageType",
    "x_Operation",
)  # fmt: skip
_INSTANCE = re.compile(r"\b[a-z]+\d[a-z0-9-]*\.(?:\d*xlarge|metal|nano|micro|small|medium|large)\b")
CENT_USD = 0.01
ROUNDING = 1e-9
"""A bill is in cents, and a file's decimals are not the plan's own."""
NOT_PLANNED = "not in the plan"
BEYOND = "beyond itemised rows"


class ActualsError(PeakdayError, ValueError):
    """A bill that cannot be read; the message names file, line and column."""

    page = "reports"


@dataclass(frozen=True)
class Part:
    """One part of the event: planned with its range, and billed. Dollars."""

    service: str
    region: str
    what: str
    planned_usd: float
    planned_low_usd: float
    planned_high_usd: float
    billed_usd: float

    @property
    def inside(self) -> bool:
        """Whether the bill lies within what was planned."""
        slack = CENT_USD / 2 + ROUNDING * abs(self.planned_usd)
        return self.planned_low_usd - slack <= self.billed_usd <= self.planned_high_usd + slack


@dataclass(frozen=True)
class Actuals:
    """A bill beside a plan. `rows` were read, `counted` lie in the event, `partly` with a part of their time."""

    parts: tuple[Part, ...]
    rows: int
    counted: int
    partly: int

    def lines(self) -> list[str]:
        """The table for a terminal."""
        head = f"{'billed beside planned, USD':44} {'planned':>12} {'range':>25} {'billed':>12}"
        lines = [head, *(_line(part) for part in (*self.parts, self.total))]
        note = f"{self.rows:,} rows read, {self.counted:,} of the event's time"
        return [*lines, note + (f", {self.partly:,} of them by the share of their period in it" if self.partly else "")]

    @property
    def total(self) -> Part:
        """All parts."""
        sums = (
            sum(getattr(part, name) for part in self.parts)
            for name in ("planned_usd", "planned_low_usd", "planned_high_usd", "billed_usd")
        )
        return Part("total", "", "", *sums)

    def as_json(self) -> dict[str, object]:
        """Parts and counts."""
        parts = [asdict(part) | {"inside": part.inside} for part in (*self.parts, self.total)]
        return {"parts": parts, "rows": self.rows, "counted": self.counted, "partly": self.partly}


def beside(plan: Plan, path: Path) -> Actuals:
    """A bill beside a plan.

    Raises:
        ActualsError: no FOCUS file, another currency than US dollars, or a cell that cannot be read.
        PlanError: the plan does not say when its event is.
    """
    charges = plan_charges(plan)
    times = (charges[0].ChargePeriodStart, charges[0].ChargePeriodEnd) if charges else ()
    start, end = (_moment(text) for text in times) if times else (None, None)
    billed: dict[tuple[str, str, str], float] = {}
    rows = counted = partly = 0
    for line, row in _rows(path):
        rows += 1
        share = _share(row, line, path, start, end)
        if share == 0:
            continue
        counted, partly = counted + 1, partly + (share < 1)
        key = _key_of_row(row)
        billed[key] = billed.get(key, 0.0) + share * _cost(row, line, path)
    return Actuals(tuple(_parts(charges, billed)), rows, counted, partly)


def check_bill(path: Path) -> None:
    """Refuse a file that is no bill by its header, before anything else is done.

    Raises:
        ActualsError: it lacks a column that FOCUS makes mandatory and that is needed here.
    """
    names = columns_of(path, error=ActualsError)
    missing = [name for name in NEEDED if name not in names]
    if missing or not set(COSTS) & set(names):
        lacks = ", ".join([*missing, *([] if set(COSTS) & set(names) else ["EffectiveCost"])])
        raise ActualsError(f"{path}: no FOCUS file: lacks {lacks}; export the bill as FOCUS 1.0 or later, as CSV")


def _rows(path: Path) -> Iterable[tuple[int, Mapping[str, str]]]:
    check_bill(path)
    yield from table_rows(path, error=ActualsError)


def _share(row: Mapping[str, str], line: int, path: Path, start: datetime | None, end: datetime | None) -> float:
    """Share of a row's period that lies in the event."""
    try:
        begins, ends = (_moment(row[name]) for name in ("ChargePeriodStart", "ChargePeriodEnd"))
    except ValueError:
        raise ActualsError(f"{path}: line {line}: ChargePeriodStart and ChargePeriodEnd are no times of UTC") from None
    length_s = (ends - begins).total_seconds()
    if start is None or end is None or length_s <= 0:
        return 0.0
    return max(0.0, (min(end, ends) - max(start, begins)).total_seconds() / length_s)


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text.strip().replace("Z", "+00:00").replace(" UTC", "+00:00"))
    if moment.tzinfo is None:
        raise ValueError("no time zone")
    return moment


def _cost(row: Mapping[str, str], line: int, path: Path) -> float:
    currency = row["BillingCurrency"]
    if currency != CURRENCY:
        shown = Untrusted(currency).label
        raise ActualsError(f"{path}: line {line}: billed in {shown!r}; a plan is in {CURRENCY}: convert the bill first")
    name = next(name for name in COSTS if name in row)
    try:
        cost = float(row[name])
    except ValueError:
        cost = float("nan")
    if not isfinite(cost):
        raise ActualsError(f"{path}: line {line}: {name}: {Untrusted(row[name]).label!r} is no number")
    return cost


def _key_of_row(row: Mapping[str, str]) -> tuple[str, str, str]:
    """Which part a row of the bill belongs to, by its service, region, and the names in it."""
    service, region = row["ServiceName"], row.get("RegionId", "")
    text = " ".join(row.get(name, "") for name in _TEXTS)
    if "bedrock" in service.lower():
        return BEDROCK.name, region, row.get("x_Model") or _model_in(text) or "other models"
    if found := _INSTANCE.search(f"{row.get('x_InstanceType', '')} {text}"):
        return EC2.name, region, found[0]
    return service, region, "all"


def _model_in(text: str) -> str | None:
    """The model whose name has the most words of a text, all of its own words among them."""
    said = words(text.replace(".", " "))
    named = {key: words(model.model_id) for key, model in reader.models().items() if model.supply == "bedrock"}
    fitting = {key: len(own) for key, own in named.items() if own and own <= said}
    return max(fitting, key=lambda key: fitting[key], default=None)


def _parts(charges: Iterable[Charge], billed: dict[tuple[str, str, str], float]) -> Iterable[Part]:
    planned: dict[tuple[str, str, str], list[float]] = {}
    for charge in charges:
        what = charge.x_InstanceType or charge.x_Model or ""
        key = (charge.ServiceName, charge.RegionId or "", BEYOND if charge.ChargeCategory == ADJUSTMENT else what)
        low = charge.BilledCost if charge.x_CostLow is None else charge.x_CostLow
        high = charge.BilledCost if charge.x_CostHigh is None else charge.x_CostHigh
        sums = planned.setdefault(key, [0.0, 0.0, 0.0])
        for place, usd in enumerate((charge.BilledCost, low, high)):
            sums[place] += usd
    for key, (usd, low, high) in planned.items():
        yield Part(*key, usd, low, high, billed.pop(key, 0.0))
    for (service, region, what), usd in sorted(billed.items()):
        yield Part(service, region, f"{what}, {NOT_PLANNED}", 0.0, 0.0, 0.0, usd)


def _line(part: Part) -> str:
    name = Untrusted(" ".join(filter(None, (part.what, part.region, part.service)))).terminal
    spread = f"{part.planned_low_usd:,.2f} to {part.planned_high_usd:,.2f}"
    mark = "" if part.inside else "  outside"
    return f"{name[:44]:44} {part.planned_usd:>12,.2f} {spread:>25} {part.billed_usd:>12,.2f}{mark}"
