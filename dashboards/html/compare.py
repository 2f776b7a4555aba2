"""Two records of one kind side by side: every number both hold, how far apart, and whether their intervals touch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from capacity.plan import Plan
from dashboards.exports import Record, record_of
from dashboards.html import charts
from dashboards.html.axes import run_span_s, slo_limits
from dashboards.html.bench import bench_banners
from dashboards.html.charts import Chart, Line
from dashboards.html.page import Banner, Cell, Page, Panel, Part, Table
from dashboards.html.plan.page import plan_banners
from dashboards.html.render import write_page
from dashboards.html.run.page import verdict_banner
from dashboards.numbers import series
from dashboards.numbers.bridge import Bridge, bridge, signed_usd
from dashboards.numbers.run import N_TAIL_SHOWN, QUANTILES, Number, find
from dashboards.numbers.units import UNKNOWN, show
from host.errors import PeakdayError
from loadgen.record import Run
from loadgen.run_info import ScenarioRef
from neuron_bench.record import Bench

APART, TOO_FEW = "intervals apart", "too few samples"


class CompareError(PeakdayError, ValueError):
    """Two records that cannot stand side by side; the message says why."""


@dataclass(frozen=True)
class Pair:
    """One number of both records. change_ratio is (b - a) / a, None where a is zero or a value is unknown."""

    a: Number
    b: Number

    @property
    def change_ratio(self) -> float | None:
        """How far b is from a, relative to a."""
        if self.a.value is None or self.b.value is None or self.a.value == 0:
            return None
        return (self.b.value - self.a.value) / abs(self.a.value)

    @property
    def verdict(self) -> str:
        """What the intervals say. One pair of runs is no test: `peakday check` decides with repeated runs."""
        a, b = self.a, self.b
        if a.value is None or b.value is None:
            return UNKNOWN
        if a.hidden or b.hidden:
            return TOO_FEW
        if a.value == b.value:
            return "equal"
        if _open_above(a) or _open_above(b):
            return TOO_FEW
        if a.lo is None or a.hi is None or b.lo is None or b.hi is None:
            return "no interval"
        return APART if a.hi < b.lo or b.hi < a.lo else "intervals overlap"


def _open_above(number: Number) -> bool:
    """A quantile so near the longest of few samples that its interval ends there for want of a longer one."""
    return number.n_tail is not None and number.n_tail < N_TAIL_SHOWN and number.hi == number.value


def write_compare(out: Path, a: Run | Plan | Bench, b: Run | Plan | Bench) -> Path:
    """Write one page of two records.

    Raises:
        CompareError: records of different kinds.
    """
    return write_page(compare_page(a, b), out)


def compare_page(a: Run | Plan | Bench, b: Run | Plan | Bench) -> Page:
    """The page: whether to believe either, what moved most, then every number."""
    first, second = record_of(a), record_of(b)
    if first.kind != second.kind:
        raise CompareError(f"{first.name} is a {first.kind}, {second.name} a {second.kind}: compare two of one kind")
    pairs = pairs_of(first.numbers, second.numbers)
    parts = [Part("moved", "What moved", [_moved_panel(pairs)]), Part("numbers", "Every number", _group_panels(pairs))]
    if isinstance(a, Plan) and isinstance(b, Plan):
        parts.insert(0, Part("bridge", "Cost of the event", [_bridge_panel(bridge(a, b))]))
    if isinstance(a, Run) and isinstance(b, Run):
        parts.insert(1, Part("latency", "Latency", [_quantile_panel(pairs), *_over_time(a, b)]))
    return Page(
        title=f"{first.name} against {second.name}",
        subtitle=f"peakday · compare · A = {first.name} · B = {second.name}",
        banners=_banners(a, b, first, second),
        headline=[],
        parts=parts,
        command=f"peakday compare {first.name} {second.name} --html FILE",
    )


def pairs_of(a: Sequence[Number], b: Sequence[Number]) -> list[Pair]:
    """Numbers that both records hold, in the order of the first."""
    theirs = {number.key: number for number in b}
    return [Pair(number, theirs[number.key]) for number in a if number.key in theirs]


def _banners(a: Run | Plan | Bench, b: Run | Plan | Bench, first: Record, second: Record) -> list[Banner]:
    banners = []
    for letter, source in (("A", a), ("B", b)):
        if isinstance(source, Run):
            verdict = verdict_banner(source.info)
            banners.append(Banner(verdict.kind, f"{letter} {verdict.word}", verdict.text, verdict.reasons))
        else:
            known = plan_banners(source) if isinstance(source, Plan) else bench_banners(source)
            banners += [Banner(banner.kind, f"{letter} {banner.word}", banner.text) for banner in known]
    left, right = _environment(a), _environment(b)
    differ = [f"{name}: A {left[name]}, B {right.get(name)}" for name in left if left[name] != right.get(name)]
    if differ:
        banners.append(
            Banner("warn", "NOT ALIKE", "The two were not made alike; a difference may come from this:", differ)
        )
    return banners


def _environment(source: Run | Plan | Bench) -> dict[str, str]:
    """What must be equal for a fair comparison."""
    if isinstance(source, Run):
        info = source.info
        keys = ("seed", "window", "scale", "rate", "processes", "provenance")
        scenario = info.scenario or ScenarioRef()
        return {"scenario": f"{scenario.name} {scenario.hash}", **{key: str(getattr(info, key)) for key in keys}}
    if isinstance(source, Plan):
        return {"scenario": f"{source.scenario.name} {source.scenario.hash}", "seed": str(source.seed)}
    return {"chips": ", ".join(sorted(map(str, set(source.cases["chip"].dropna()))))}


def _row(pair: Pair) -> list[str | Number | None]:
    change = pair.change_ratio
    words = UNKNOWN if change is None else f"{'+' if change >= 0 else '−'}{show(abs(change), 'ratio')}"
    return [pair.a.label, _of(pair.a, "A"), _of(pair.b, "B"), words, pair.verdict]


def _of(number: Number, letter: str) -> Number:
    """The number with its record in its key, so that A's and B's differ for programs too."""
    return replace(number, labels=(*number.labels, ("record", letter)))


_COLUMNS = ("Number", "A", "B", "B against A", "Intervals")


def _bridge_panel(found: Bridge) -> Panel:
    """A waterfall from A's cost of the event to B's, and its table with the exact sum."""
    names = ["A", *(step.name for step in found.steps), "B"]
    rows: list[list[Cell]] = [["A", show(found.a_usd, "usd")]]
    rows += [[step.name, signed_usd(step.usd)] for step in found.steps]
    rows.append(["B", show(found.b_usd, "usd")])
    chart = charts.base(height=90 + 30 * len(names), hovermode="closest", showlegend=False)
    chart["layout"]["xaxis"] |= charts.unit_axis("usd", along_x=True)
    chart["layout"]["yaxis"] |= charts.categories(names[::-1])
    chart["data"].append(
        {
            "type": "waterfall",
            "orientation": "h",
            "y": names,
            "x": [found.a_usd, *(step.usd for step in found.steps), found.b_usd],
            "measure": ["absolute", *("relative" for _ in found.steps), "total"],
            "increasing": {"marker": {"color": charts.COLOURS[1]}},
            "decreasing": {"marker": {"color": charts.COLOURS[2]}},
            "totals": {"marker": {"color": charts.COLOURS[0]}},
            "connector": {"line": {"color": "@rule", "width": 1}},
        }
    )
    return Panel("From A to B", found.sentence, Table("The steps and their sum", ("Step", "USD"), rows), chart)


def _moved_panel(pairs: Sequence[Pair]) -> Panel:
    """The numbers that moved most where it can be told from noise."""
    moved = [pair for pair in pairs if pair.change_ratio and pair.verdict in (APART, "no interval")]
    moved.sort(key=lambda pair: (pair.verdict != APART, -abs(pair.change_ratio or 0.0)))
    shown = moved[:10]
    if not shown:
        return Panel("Largest changes", "No number moved beyond its interval.")
    apart = sum(pair.verdict == APART for pair in pairs)
    sentence = (
        f"{apart} of {len(pairs)} numbers have intervals apart. One pair of runs is no test: `peakday check` repeats "
        "them."
    )
    table = Table("Largest changes", _COLUMNS, [_row(pair) for pair in shown], text_columns=(0, 4))
    names = [pair.a.label for pair in shown]
    chart = charts.bars(names, {"B against A": [pair.change_ratio for pair in shown]}, "ratio")
    chart["layout"]["xaxis"]["rangemode"] = "normal"
    return Panel("Largest changes", sentence, table, chart)


def _group_panels(pairs: Sequence[Pair]) -> list[Panel]:
    groups = dict.fromkeys(pair.a.group for pair in pairs)
    panels = []
    for group in groups:
        rows = [_row(pair) for pair in pairs if pair.a.group == group]
        title = group.capitalize()
        panels.append(Panel(title, "A, B, and how far apart.", Table(title, _COLUMNS, rows, text_columns=(0, 4))))
    return panels


def _quantile_panel(pairs: Sequence[Pair]) -> Panel:
    a, b = [pair.a for pair in pairs], [pair.b for pair in pairs]
    marks = {}
    for metric, label in (("ttft_s", "TTFT"), ("e2e_s", "E2E"), ("tpot_s", "TPOT")):
        for letter, numbers in (("A", a), ("B", b)):
            values = [(q, find(numbers, f"{metric}_{q}")) for q in QUANTILES]
            points = [(q, n.value) for q, n in values if n is not None and n.value is not None and not n.hidden]
            if points:
                marks[f"{label} {letter}"] = points
    rows = [_row(pair) for pair in pairs if pair.a.name.startswith(("ttft_s_p", "e2e_s_p", "tpot_s_p"))]
    table = Table("Quantiles", _COLUMNS, rows, text_columns=(0, 4))
    if not marks:
        return Panel("Quantiles", "Neither record holds latency quantiles.", table)
    return Panel("Quantiles", "Each metric of A stands above the same of B.", table, charts.ranges(marks, "s"))


def _over_time(a: Run, b: Run) -> list[Panel]:
    if not len(a.turns) or not len(b.turns):
        return []
    span_s = max(run_span_s(a), run_span_s(b))
    return [
        _metric_over_time(a, b, metric, label, span_s)
        for metric, label in (("ttft_s", "TTFT"), ("e2e_s", "E2E latency"))
    ]


def _metric_over_time(a: Run, b: Run, metric: str, label: str, span_s: float) -> Panel:
    width = series.bin_width_s(span_s)
    lines, medians = [], {}
    for style, (letter, run) in enumerate((("A", a), ("B", b))):
        starts, quantiles, _ = series.quantiles_over_time(run.turns, metric, (0.5, 0.95), width, span_s)
        medians[letter] = (starts, quantiles)
        lines += [
            Line(f"{letter} p{round(100 * share)}", starts, quantiles[share], 2 * style + i)
            for i, share in enumerate((0.5, 0.95))
        ]
    starts = medians["A"][0]
    rows = [
        [f"{start:g} s", *[show(float(medians[letter][1][share][i]), "s") for letter in "AB" for share in (0.5, 0.95)]]
        for i, start in enumerate(starts)
    ]
    table = Table(f"{label} by intended start", ("From", "A p50", "A p95", "B p50", "B p95"), rows)
    chart: Chart = charts.lines(lines, "s", span_s, slo_limits(a.info, metric))
    return Panel(f"{label} over time", "Both runs on one clock, each from its own start.", table, chart)
