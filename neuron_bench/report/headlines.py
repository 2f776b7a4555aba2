"""What a bench says in a few rows: a headline per model and chip, and what is missing before a plan can use it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from facts import reader
from host.json_values import mapping
from neuron_bench.device.chips import replica_hint
from neuron_bench.errors import BenchUsageError
from neuron_bench.fit.bench import NAMES, fit_steps, observations
from neuron_bench.importers.tables import usd_per_million
from neuron_bench.record import Bench, CaseRow
from slo.slo import Slo

STATISTICS = ("p99", "p90", "p50", "mean")
"""What is held against an SLO whose own percentile a row lacks: the first of these. A mean may meet what p99 misses."""


@dataclass(frozen=True)
class Point:
    """One case's throughput, with the case it comes from. chips: None where nobody said how many there were."""

    output_tokens_per_s: float
    chips: float | None
    usd_per_mtok: float | None
    case: str
    statistic: str

    @property
    def output_tokens_per_s_per_chip(self) -> float | None:
        """Unknown where the chips are: never the rate of all of them."""
        return None if self.chips is None else self.output_tokens_per_s / self.chips

    def __str__(self) -> str:
        per_chip = self.output_tokens_per_s_per_chip
        return f"{self.output_tokens_per_s:,.1f} in all" if per_chip is None else f"{per_chip:,.1f}"


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


def headlines(bench: Bench, slos: Sequence[Slo] = ()) -> list[Headline]:
    """One row a model, chip and provenance, in the record's order. Flagged rows are counted and not used."""
    groups: dict[tuple[str, str, str], list[CaseRow]] = {}
    for row in bench.rows:
        key = (row.model_id or "?", row.chip or row.device_kind or "?", row.provenance or "?")
        groups.setdefault(key, []).append(row)
    return [_headline(key, rows, slos) for key, rows in groups.items()]


def _headline(key: tuple[str, str, str], rows: Sequence[CaseRow], slos: Sequence[Slo]) -> Headline:
    usable = [row for row in rows if not row.flag_names - {"few_samples"}]
    price, price_text = chip_price(key[1])
    rated = [(row, point) for row in usable if (point := _point(row, price)) is not None]
    within = [point for row, point in rated if meets(row, slos)]
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
    """The highest rate per chip; where no point knows its chips, the highest rate."""
    known = [point for point in points if point.chips is not None] or list(points)
    return max(known, key=lambda point: point.output_tokens_per_s / (point.chips or 1.0), default=None)


def _point(row: CaseRow, usd_per_chip_hour: float | None) -> Point | None:
    if not row.output_tokens_per_s or row.phase not in ("serve", "decode"):
        return None
    chips = row.chips_used or None
    price = None
    if chips is not None and usd_per_chip_hour is not None:
        price = usd_per_million(row.output_tokens_per_s / chips, usd_per_chip_hour)
    return Point(
        output_tokens_per_s=row.output_tokens_per_s,
        chips=chips,
        usd_per_mtok=price,
        case=row.record_id,
        statistic=_statistic(row, "tpot_s") or "none",
    )


def _figure(row: CaseRow, metric: str, name: str) -> float | None:
    value: float | None = getattr(row, f"{metric}_{name}", None)
    return value


def _statistic(row: CaseRow, metric: str, quantile: float | None = None) -> str | None:
    """The percentile asked for where the row has it, else the strictest it has."""
    own = [] if quantile is None else [f"p{round(quantile * 100):d}"]
    return next((name for name in (*own, *STATISTICS) if _figure(row, metric, name) is not None), None)


def meets(row: CaseRow, slos: Iterable[Slo]) -> bool:
    """Whether a row's latencies lie within the SLOs. A decode case has no TTFT: it cannot miss one.

    A latency that is limited and unknown is no pass.
    """
    for slo in slos:
        if slo.metric == "ttft_s" and row.phase == "decode":
            continue
        name = _statistic(row, slo.metric, slo.quantile)
        value = row.wall_s_p99 if name is None and row.phase == "decode" else _figure(row, slo.metric, name or "")
        if value is None or not slo.met_by(value):
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


def missing_for_a_plan(usable: Sequence[CaseRow]) -> list[str]:
    """What a step model fit still needs."""
    lengths = {row.input_tokens for row in usable if row.phase == "prefill"}
    batches = {row.batch for row in usable if row.phase == "decode"}
    needs = []
    if len(lengths) < 2:
        needs.append("prefill at two lengths or more")
    if len(batches) < 2:
        needs.append("decode at two batch sizes or more")
    if any(row.weights_random for row in usable) and not all(row.weights_random for row in usable):
        needs.append("one kind of weights: random and real ones are mixed")
    return needs


def headline_table(rows: Sequence[Headline]) -> str:
    """The headlines as text."""
    lines = [f"{'model':<34} {'chip':<13} {'tok/s/chip at SLO':>20} {'peak':>14} {'USD/Mtok at SLO':>16}  provenance"]
    for row in rows:
        at, peak = row.at_slo, row.peak
        rate = f"{at} ({at.statistic})" if at else "-"
        cost = f"{at.usd_per_mtok:,.2f}" if at and at.usd_per_mtok is not None else "-"
        lines.append(
            f"{row.model_id[-34:]:<34} {row.chip[:13]:<13} {rate:>20} {peak or '-'!s:>14} {cost:>16}  {row.provenance}"
        )
    if any(row.peak and row.peak.chips is None and row.chip != "cpu" for row in rows):
        lines.append(
            f"in all: the record does not say on how many chips; {replica_hint(None, None)} to have it per chip"
        )
    return "\n".join(lines)


def case_table(bench: Bench) -> str:
    """Every timed case as text, flagged ones too: what was measured, its interval, and what speaks against it.

    Cases that were asked for and have no times stand below, each with the reason.
    """
    lines = [f"{'case':<30} {'p50 ms':>9} {'90% interval':>20} {'n':>6} {'CV':>6} {'drift':>7}  flags"]
    for row in bench.rows:
        if row.wall_s_p50 is None:
            continue
        interval = f"{_ms(row.wall_s_p50_lo)} to {_ms(row.wall_s_p50_hi)}"
        noise = f"{_percent(row.cv_ratio):>6} {_percent(row.drift_ratio):>7}"
        count = "-" if row.n_samples is None else str(row.n_samples)
        lines.append(
            f"{row.record_id:<30} {_ms(row.wall_s_p50):>9} {interval:>20} {count:>6} {noise}  {row.flags or ''}"
        )
    skipped = mapping(bench.info.get("skipped"))
    for label, reason in bench.unfinished.items():
        lines.append(f"{label:<30} {'skipped' if label in skipped else 'unfinished'}: {reason}")
    return "\n".join(lines)


def step_table(bench: Bench, *, max_batched_tokens: int = 1 << 20) -> str:
    """The step times fitted to a bench, with predicted over measured less 1 for every case; or why there are none."""
    observed = observations(bench, max_batched_tokens=max_batched_tokens)
    try:
        fitted = fit_steps(observed)
    except BenchUsageError as error:
        return f"no step times fitted: {error}"
    named = zip(NAMES, fitted.values, strict=True)
    lines = ["step_s = " + ", ".join(f"{name} {value:.3g}" for name, value in named)]
    if len(observed) <= fitted.free:
        lines.append("as many coefficients as cases: what is left over proves nothing")
    lines += [f"{each.case:<30} residual {fitted.check(each).error_ratio:+7.1%}" for each in observed]
    return "\n".join(lines)


def _ms(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds * 1e3:.3f}"


def _percent(ratio: float | None) -> str:
    return "-" if ratio is None else f"{ratio:.1%}"
