"""What a bench says in a few rows: a headline per model and chip, and what is missing before a plan can use it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from facts import reader
from neuron_bench.errors import BenchUsageError
from neuron_bench.fit.bench import NAMES, fit_law, observations
from neuron_bench.importers.tables import usd_per_million
from neuron_bench.record import Bench

STATISTICS = ("p99", "p90", "p50", "mean")
"""What is held against an SLO: the first of these that a row has. A mean may meet what its p99 misses."""


@dataclass(frozen=True)
class Slo:
    """Limits in seconds; None = no limit."""

    ttft_s: float | None = None
    tpot_s: float | None = None


@dataclass(frozen=True)
class Point:
    """One case's throughput per chip, with the case it comes from."""

    output_tokens_per_s_per_chip: float
    requests_per_s_per_chip: float | None
    usd_per_mtok: float | None
    case: str
    statistic: str


@dataclass(frozen=True)
class Headline:
    """A model on a chip: at the SLO and at its peak. None where no usable case tells."""

    model_id: str
    chip: str
    provenance: str
    at_slo: Point | None
    peak: Point | None
    price: str
    cases: int
    flagged: int
    missing: tuple[str, ...]


def headlines(bench: Bench, slo: Slo) -> list[Headline]:
    """One row a model, chip and provenance, in the record's order. Flagged rows are counted and not used."""
    groups: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for row in bench.cases.astype(object).where(bench.cases.notna(), None).to_dict("records"):
        key = (row["model_id"] or "?", row["chip"] or row["device_kind"] or "?", row["provenance"])
        groups.setdefault(key, []).append({str(name): value for name, value in row.items()})
    return [_headline(key, rows, slo) for key, rows in groups.items()]


def _headline(key: tuple[str, str, str], rows: Sequence[dict[str, Any]], slo: Slo) -> Headline:
    usable = [row for row in rows if not row["flags"]]
    price, price_text = chip_price(key[1])
    rated = [(row, point) for row in usable if (point := _point(row, price)) is not None]
    within = [point for row, point in rated if meets(row, slo)]
    return Headline(
        model_id=key[0],
        chip=key[1],
        provenance=key[2],
        at_slo=_best(within),
        peak=_best([point for _, point in rated]),
        price=price_text,
        cases=len(rows),
        flagged=len(rows) - len(usable),
        missing=tuple(missing_for_a_plan(usable)),
    )


def _best(points: Sequence[Point]) -> Point | None:
    return max(points, key=lambda point: point.output_tokens_per_s_per_chip, default=None)


def _point(row: dict[str, Any], usd_per_chip_hour: float | None) -> Point | None:
    if not row["output_tokens_per_s"] or row["phase"] not in ("serve", "decode"):
        return None
    chips = row["chips_used"] or 1.0
    rate = row["output_tokens_per_s"] / chips
    requests = row["requests_per_s"]
    return Point(
        output_tokens_per_s_per_chip=rate,
        requests_per_s_per_chip=None if requests is None else requests / chips,
        usd_per_mtok=None if usd_per_chip_hour is None else usd_per_million(rate, usd_per_chip_hour),
        case=row["record_id"],
        statistic=_statistic(row, "tpot_s") or "none",
    )


def _statistic(row: dict[str, Any], metric: str) -> str | None:
    return next((name for name in STATISTICS if row.get(f"{metric}_{name}") is not None), None)


def meets(row: dict[str, Any], slo: Slo) -> bool:
    """Whether a row's latencies lie within the limits. A decode case has no TTFT: it cannot miss one.

    A latency that is limited and unknown is no pass.
    """
    for metric, limit in (("ttft_s", slo.ttft_s), ("tpot_s", slo.tpot_s)):
        if limit is None or (metric == "ttft_s" and row["phase"] == "decode"):
            continue
        name = _statistic(row, metric)
        value = row["wall_s_p99"] if name is None and row["phase"] == "decode" else row.get(f"{metric}_{name}")
        if value is None or value > limit:
            return False
    return True


def chip_price(chip: str) -> tuple[float | None, str]:
    """USD per chip-hour on demand, by the cheapest instance type per chip that has a price; and what it is.

    Reserved rates have no stated term in our facts: they are never a default.
    """
    prices = [
        (instance.on_demand_usd_per_hour / instance.chips, instance)
        for instance in reader.instances().values()
        if instance.chip == chip and instance.on_demand_usd_per_hour is not None
    ]
    if not prices:
        return None, "no on-demand price in facts"
    per_chip, instance = min(prices, key=lambda pair: pair[0])
    return per_chip, f"{per_chip:.4f} USD a chip-hour, on demand, {instance.instance}, {instance.price_date}"


def missing_for_a_plan(usable: Sequence[dict[str, Any]]) -> list[str]:
    """What a step model fit still needs."""
    lengths = {row["input_tokens"] for row in usable if row["phase"] == "prefill"}
    batches = {row["batch"] for row in usable if row["phase"] == "decode"}
    needs = []
    if len(lengths) < 2:
        needs.append("prefill at two lengths or more")
    if len(batches) < 2:
        needs.append("decode at two batch sizes or more")
    if any(row["weights_random"] for row in usable) and not all(row["weights_random"] for row in usable):
        needs.append("one kind of weights: random and real ones are mixed")
    return needs


def table(rows: Sequence[Headline]) -> str:
    """The headlines as text."""
    lines = [f"{'model':<34} {'chip':<13} {'tok/s/chip at SLO':>18} {'peak':>9} {'USD/Mtok at SLO':>16}  provenance"]
    for row in rows:
        at, peak = row.at_slo, row.peak
        rate = f"{at.output_tokens_per_s_per_chip:,.1f} ({at.statistic})" if at else "-"
        top = f"{peak.output_tokens_per_s_per_chip:,.1f}" if peak else "-"
        cost = f"{at.usd_per_mtok:,.2f}" if at and at.usd_per_mtok is not None else "-"
        lines.append(f"{row.model_id[-34:]:<34} {row.chip:<13} {rate:>18} {top:>9} {cost:>16}  {row.provenance}")
    return "\n".join(lines)


def case_table(bench: Bench) -> str:
    """Every timed case as text, flagged ones too: what was measured, its interval, and what speaks against it."""
    lines = [f"{'case':<30} {'p50 ms':>9} {'90% interval':>20} {'n':>6} {'CV':>6} {'drift':>7}  flags"]
    for row in bench.cases.to_dict("records"):
        if row["wall_s_p50"] != row["wall_s_p50"] or row["wall_s_p50"] is None:
            continue
        interval = f"{_ms(row['wall_s_p50_lo'])} to {_ms(row['wall_s_p50_hi'])}"
        noise = f"{_percent(row['cv_ratio']):>6} {_percent(row['drift_ratio']):>7}"
        count = "-" if row["n_samples"] != row["n_samples"] else f"{row['n_samples']:.0f}"
        name, flags = str(row["record_id"]), row["flags"] or ""
        lines.append(f"{name:<30} {_ms(row['wall_s_p50']):>9} {interval:>20} {count:>6} {noise}  {flags}")
    return "\n".join(lines)


def law_table(bench: Bench, *, max_batched_tokens: int = 1 << 20) -> str:
    """The law fitted to a bench, with predicted over measured less 1 for every case; or why there is none."""
    seen = observations(bench, max_batched_tokens=max_batched_tokens)
    try:
        law = fit_law(seen)
    except BenchUsageError as error:
        return f"no law fitted: {error}"
    named = zip(NAMES, law.values, strict=True)
    lines = ["step_s = " + ", ".join(f"{name} {value:.3g}" for name, value in named)]
    if len(seen) <= sum(value > 0 for value in law.values):
        lines.append("as many coefficients as cases: what is left over proves nothing")
    lines += [f"{one.case:<30} residual {law.check(one).error_ratio:+7.1%}" for one in seen]
    return "\n".join(lines)


def _ms(seconds: Any) -> str:
    return "-" if seconds is None or seconds != seconds else f"{seconds * 1e3:.3f}"


def _percent(ratio: Any) -> str:
    return "-" if ratio is None or ratio != ratio else f"{ratio:.1%}"
