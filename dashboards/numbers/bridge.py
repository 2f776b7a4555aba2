"""From one plan's cost of the event to another's: what each kind of change adds, with an exact sum.

The cost is a product of six kinds of factor for each model and region. Each kind is moved from plan A to plan B; as the
order in which they move matters, the mean over all orders is shown (Shapley 1953), so that A against B is B against A
with the sign turned. What the factors do not hold is a step of its own, never spread over the others.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

from capacity.plan import Plan
from capacity.rows.fleet import SupplyPlan
from dashboards.numbers.units import show

DEMAND, ROUTES, TOKENS, CACHE, PRICES, FLEET = KINDS = ("demand", "routes", "tokens", "cache", "prices", "fleet")
OTHER = "other"
OUTPUT = "output"
_PER_MILLION = 1e-6


@dataclass(frozen=True)
class Step:
    """One kind of change, in dollars of the event."""

    name: str
    usd: float


@dataclass(frozen=True)
class Bridge:
    """A's cost, the steps, B's cost: a_usd + the steps = b_usd to the last cent."""

    a_usd: float
    b_usd: float
    steps: tuple[Step, ...]

    @property
    def sentence(self) -> str:
        """`$1.3M -> $1.7M: demand +$0.3M, prices -$0.1M`; steps of nothing are left out."""
        moved = [step for step in self.steps if step.usd]
        words = ", ".join(f"{step.name} {signed_usd(step.usd)}" for step in moved) or "nothing moved"
        return f"{show(self.a_usd, 'usd')} -> {show(self.b_usd, 'usd')}: {words}"


def signed_usd(usd: float) -> str:
    """`+$1,234` or `-$12.34`."""
    sign = "-" if usd < 0 else "+"
    return f"{sign}${abs(usd):,.0f}" if float(usd).is_integer() else f"{sign}${abs(usd):,.2f}"


def bridge(a: Plan, b: Plan) -> Bridge:
    """What carries plan A's cost of the event to plan B's, largest steps first."""
    cells = _cells(a, b)
    value = {chosen: sum(cell.usd(chosen) for cell in cells) for chosen in _subsets(KINDS)}
    steps = {kind: _shapley(value, kind) for kind in KINDS}
    a_usd, b_usd = (round(plan.event_cost_usd.mid, 2) for plan in (a, b))
    steps[OTHER] = (b_usd - a_usd) - math.fsum(steps.values())
    cents = _rounded({name: 100 * usd for name, usd in steps.items()}, round(100 * b_usd) - round(100 * a_usd))
    ordered = sorted(cents.items(), key=lambda item: (item[0] == OTHER, -abs(item[1])))
    return Bridge(a_usd, b_usd, tuple(Step(name, value / 100) for name, value in ordered))


def _subsets(kinds: tuple[str, ...]) -> list[frozenset[str]]:
    return [frozenset(chosen) for size in range(len(kinds) + 1) for chosen in combinations(kinds, size)]


def _shapley(value: Mapping[frozenset[str], float], kind: str) -> float:
    n = len(KINDS)
    parts = []
    for chosen in value:
        if kind not in chosen:
            weight = math.factorial(len(chosen)) * math.factorial(n - len(chosen) - 1) / math.factorial(n)
            parts.append(weight * (value[chosen | {kind}] - value[chosen]))
    return math.fsum(parts)


def _rounded(parts: Mapping[str, float], total: int) -> dict[str, int]:
    """Whole cents with this total: the cents that rounding loses go to the parts that it moved most."""
    floors = {name: math.floor(value) for name, value in parts.items()}
    left = total - sum(floors.values())
    by_remainder = sorted(parts, key=lambda name: floors[name] - parts[name])
    return {name: floors[name] + (place < left) for place, name in enumerate(by_remainder)}


# --- the factors of one model in one region ------------------------------------------------------------------------


@dataclass(frozen=True)
class _Factors:
    """One plan's factors. Tokens and prices by class; fleets as instances for each call a second at the peak."""

    interactions: float
    peak_per_s: float
    calls: float  # per interaction, over the event
    peak_calls: float  # per interaction, at the peak
    prompt_tokens: float
    output_tokens: float
    prompt_shares: Mapping[str, float]
    prices: Mapping[str, float]
    instance: str
    instances_per_call: float
    usd_per_hour: float
    hours: float


@dataclass(frozen=True)
class _Cell:
    """A model in a region, in both plans; where one plan has none, its calls are zero and all else is the other's."""

    a: _Factors
    b: _Factors

    def usd(self, moved: frozenset[str]) -> float:
        """Its dollars of the event with these kinds of factor from B and all others from A."""

        def of(kind: str) -> _Factors:
            return self.b if kind in moved else self.a

        prices, shares = of(PRICES).prices, of(CACHE).prompt_shares
        prompt = sum(share * prices.get(name, 0.0) for name, share in shares.items())
        per_call = of(TOKENS).prompt_tokens * prompt + of(TOKENS).output_tokens * prices.get(OUTPUT, 0.0)
        tokens = of(DEMAND).interactions * of(ROUTES).calls * per_call * _PER_MILLION
        fleet = of(FLEET)
        price = of(PRICES) if self.a.instance == self.b.instance else fleet
        calls_per_s = of(DEMAND).peak_per_s * of(ROUTES).peak_calls
        return tokens + calls_per_s * fleet.instances_per_call * price.usd_per_hour * fleet.hours


def _cells(a: Plan, b: Plan) -> list[_Cell]:
    left, right = ({(s.model, s.region): s for s in plan.supplies} for plan in (a, b))
    cells = []
    for key in dict.fromkeys([*left, *right]):
        ours = _factors(a, left[key]) if key in left else None
        theirs = _factors(b, right[key]) if key in right else None
        if ours is not None and theirs is not None:
            cells.append(_Cell(ours, theirs))
        elif ours is not None:
            cells.append(_Cell(ours, _unused(ours)))
        elif theirs is not None:
            cells.append(_Cell(_unused(theirs), theirs))
    return cells


def _unused(factors: _Factors) -> _Factors:
    return _Factors(**{**vars(factors), "calls": 0.0, "peak_calls": 0.0})


def _factors(plan: Plan, supply: SupplyPlan) -> _Factors:
    interactions = plan.rules.interactions_in_event if plan.rules else 0.0
    peak = next((d.peak_interactions_per_s.p90 for d in plan.demand if d.region == supply.region), 0.0)
    prompt = {name: tokens for name, tokens in supply.tokens_per_call.items() if name != OUTPUT}
    prompt_tokens, calls_per_s = sum(prompt.values()), supply.calls_per_s.p90
    bought = [line for line in plan.purchase if (line.model, line.region) == (supply.model, supply.region)]
    instances, hourly = sum(line.instances for line in bought), sum(line.usd_per_hour for line in bought)
    return _Factors(
        interactions=interactions,
        peak_per_s=peak,
        calls=(supply.calls_in_event or 0.0) / interactions if interactions else 0.0,
        peak_calls=calls_per_s / peak if peak else 0.0,
        prompt_tokens=prompt_tokens,
        output_tokens=supply.tokens_per_call.get(OUTPUT, 0.0),
        prompt_shares={name: tokens / prompt_tokens for name, tokens in prompt.items()} if prompt_tokens else {},
        prices=supply.prices_usd_per_mtok,
        instance=" ".join(sorted({line.instance_type for line in bought})),
        instances_per_call=instances / calls_per_s if calls_per_s else 0.0,
        usd_per_hour=hourly / instances if instances else 0.0,
        hours=sum(line.usd for line in bought) / hourly if hourly else 0.0,
    )
