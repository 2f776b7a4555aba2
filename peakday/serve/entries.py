"""One record or scenario in a line: what it is, whether to believe it, where its figures come from, what it says."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from capacity.plan import load_plan
from dashboards.numbers.units import show
from dashboards.order.verdict import order_verdict
from host.errors import PeakdayError
from loadgen.record import read_info
from neuron_bench.record import load_bench
from peakday.gate.kept import FILE
from scenarios.loading import load_scenario

_TONES = {"pass": "good", "warn": "warn", "inconclusive": "warn"}
"""Verdict of a check -> tone; any other is bad."""


@dataclass(frozen=True)
class Entry:
    """A line of the home page. tone: good, bad, warn, plain, or going for a run under way."""

    kind: str
    id: str
    name: str
    verdict: str
    tone: str
    provenance: str
    headline: str

    @property
    def href(self) -> str:
        """Its page."""
        if self.kind == "scenarios":
            return f"/what-if?scenario={self.id}"
        return f"/records/{self.kind}/{self.id}"

    @property
    def when(self) -> str:
        """`2026-11-28 09:30` from an ID that begins with its UTC time, else nothing."""
        stamp = self.id[:15]
        if len(stamp) == 15 and stamp[8] == "-" and (stamp[:8] + stamp[9:]).isdecimal():
            return f"{stamp[:4]}-{stamp[4:6]}-{stamp[6:8]} {stamp[9:11]}:{stamp[11:13]}"
        return ""


def entry_of(kind: str, id_: str, folder: Path, *, going: bool) -> Entry:
    """The line of one; a damaged one says what is wrong with it."""
    try:
        return _READERS[kind](id_, folder, going)
    except PeakdayError as error:
        return Entry(kind, id_, "", "DAMAGED", "bad", "", " ".join(str(error).split()))


def _run(id_: str, folder: Path, going: bool) -> Entry:
    info = read_info(folder)
    origin = "simulated" if info.simulated else "measured"
    if not info.finished or info.totals is None:
        state = ("RUNNING", "going") if going else ("NOT FINISHED", "warn")
        return Entry("runs", id_, info.scenario_name, *state, "", "no verdict yet")
    ttft = info.quantile("ttft_s", "p99")
    words = [f"{info.totals.completed:,} of {info.totals.asked:,} turns"]
    words += [f"TTFT p99 {show(ttft.value, 's')}"] if ttft is not None and ttft.value is not None else []
    words += [] if info.valid else [info.reasons[0]]
    words += [crossing.sentence for crossing in (info.what_broke_first or ())[:1]]
    state = ("VALID", "good") if info.valid else ("INVALID", "bad")
    return Entry("runs", id_, info.scenario_name, *state, origin, ", ".join(words))


def _plan(id_: str, folder: Path, _going: bool) -> Entry:
    plan = load_plan(folder)
    verdict = order_verdict(plan)
    cost = plan.event_cost_usd
    words = (
        f"{show(cost.mid, 'usd')} for the event ({show(cost.low, 'usd')} to {show(cost.high, 'usd')}); "
        f"{plan.first_limit_exceeded}"
    )
    tone = "good" if verdict.buyable else "warn"
    return Entry("plans", id_, plan.scenario.name, verdict.word, tone, cost.provenance, words)


def _bench(id_: str, folder: Path, _going: bool) -> Entry:
    bench = load_bench(folder)
    chips = ", ".join(sorted({str(chip) for chip in bench.cases["chip"].dropna()}))
    state = bench.state.upper()
    tone = "good" if state == "FINISHED" else "warn"
    origins = sorted({str(origin) for origin in bench.cases.get("provenance", []) if isinstance(origin, str)})
    return Entry("benches", id_, chips, state, tone, ", ".join(origins), f"{len(bench.cases):,} cases")


def _check(id_: str, folder: Path, _going: bool) -> Entry:
    try:
        data = json.loads((folder / FILE).read_text())
        verdict, lines = str(data["verdict"]), list(data["lines"])
        failed = [str(line["metric"]) for line in lines if line["verdict"] == verdict]
        name = str(data["scenario"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise PeakdayError(f"{folder / FILE}: damaged ({error}); check again") from None
    more = f": {', '.join(failed[:3])}" if verdict != "pass" else ""
    tone = _TONES.get(verdict, "bad")
    return Entry("checks", id_, name, verdict.upper(), tone, "", f"{len(lines)} gates{more}")


def _scenario(id_: str, folder: Path, _going: bool) -> Entry:
    own = (folder / id_).suffix in (".yaml", ".yml")
    scenario = load_scenario(folder / id_ if own else id_)
    peak = scenario.demand.interactions.peak_per_s
    words = (
        f"peak {show(peak.mid, 'per_s')} ({show(peak.low, 'per_s')} to {show(peak.high, 'per_s')}), "
        f"{_lasts(scenario.event.length_s)}, {len(scenario.event.regions)} region(s)"
    )
    return Entry("scenarios", id_, scenario.name, "yours" if own else "library", "plain", "assumed", words)


def _lasts(length_s: float) -> str:
    """`4 days`, `6 h`, `20 s`."""
    for unit_s, name in ((86_400, "days"), (3_600, "h"), (60, "min")):
        if length_s >= 2 * unit_s or (length_s == unit_s and name != "days"):
            return f"{length_s / unit_s:g} {name}"
    return f"{length_s:g} s"


_READERS: dict[str, Callable[[str, Path, bool], Entry]] = {
    "runs": _run, "plans": _plan, "benches": _bench, "checks": _check, "scenarios": _scenario,
}  # fmt: skip
