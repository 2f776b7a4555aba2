"""`history`: what the runs, plans, benches and checks of a folder say over time, and where a figure changes its level.

Only the head of each record is read, one at a time, so that memory does not grow with turns.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from capacity.plan import PlanError, load_plan
from dashboards.html.history import Past, write_history
from dashboards.numbers.changes import change_points
from loadgen.record import read_info
from loadgen.run_info import RecordError, RunInfo
from neuron_bench.record import BenchRecordError, load_bench
from peakday.errors import CommandError
from peakday.records.folders import records
from wire.text import Untrusted

CHECK_SCHEMA = "peakday.check/1"
CHECK_BYTES_MAX = 20_000_000
FIGURES = ("rate_at_slo_per_s", "ttft_s_p95", "hit_ratio", "cost_usd", "chips", "tokens_per_s")


def history(folder: Path | None, html: Path | None, limit: int) -> tuple[str, dict[str, object]]:
    """The table over a folder's records, oldest first, with what changed; a page too where asked.

    Raises:
        CommandError: no such folder, or no record in it.
    """
    base = folder or Path()
    if not base.is_dir():
        raise CommandError(f"{base}: no folder; name one that holds runs/, plans/, benches/ or checks/")
    past = sorted(_past(base), key=lambda one: (one.at, one.id))[-limit:]
    if not past:
        raise CommandError(f"{base}: no record in it; `peakday run`, `plan`, `bench run` and `check` make some")
    changes = list(changes_of(past))
    text = "\n".join([*_lines(past), "", *(changes or ["no figure changed its level"])])
    if html is not None:
        text += f"\n\n{write_history(past, changes, html)}"
    return text, {"records": [asdict(one) for one in past], "changes": changes}


def changes_of(past: list[Past]) -> Iterator[str]:
    """A sentence for each change of level, by kind and subject; and the records that begin a level are marked."""
    series: dict[tuple[str, str], list[Past]] = {}
    for one in past:
        series.setdefault((one.kind, one.subject), []).append(one)
    for (kind, subject), own in series.items():
        for figure in FIGURES:
            known = [one for one in own if one.figures.get(figure) is not None and one.counts]
            values = [float(one.figures[figure] or 0.0) for one in known]
            starts = [0, *change_points(values), len(values)]
            for before, at, after in zip(starts, starts[1:], starts[2:], strict=False):
                old, new = _median(values[before:at]), _median(values[at:after])
                known[at].marks.append(figure)
                moved = f", {new / old - 1:+.0%}" if old else ""
                yield (
                    f"{kind} {subject}: {figure} from {old:.4g} to {new:.4g}{moved}, since {known[at].id} "
                    f"({at - before} records before, {after - at} since)"
                )


def _median(values: list[float]) -> float:
    ordered = sorted(values)
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2


def _past(base: Path) -> Iterator[Past]:
    for kind, read in _READERS.items():
        for path in records(kind, base):
            try:
                yield read(path)
            except (RecordError, PlanError, BenchRecordError) as error:
                yield Past(kind, path.name, _time_of(path.name, path), "?", "damaged", str(error), {}, False)
    for file in sorted((base / "checks").glob("*.json")):
        check = _check(file)
        if check is not None:
            yield check


def _time_of(name: str, path: Path) -> str:
    """A record's time: in its name, else that of its files."""
    try:
        at = datetime.strptime(name[:15], "%Y%m%d-%H%M%S").replace(tzinfo=UTC)
    except ValueError:
        at = datetime.fromtimestamp(path.stat().st_mtime, tz=UTC)
    return at.isoformat(timespec="seconds")


def _run(path: Path) -> Past:
    info = read_info(path)
    at = (info.started_utc or _time_of(path.name, path))[:19]
    verdict = "VALID" if info.valid else "INVALID" if info.finished else "unfinished"
    slo = _slo_word(info)
    totals, ttft = info.totals, info.quantile("ttft_s", "p95")
    rate = totals.achieved_rate_per_s if totals is not None and slo == "met" else None
    hits = totals.cache_hit_token_ratio.all if totals is not None and totals.cache_hit_token_ratio else None
    figures = {
        "rate_at_slo_per_s": rate,
        "ttft_s_p95": ttft.value if ttft is not None and not ttft.censored else None,
        "hit_ratio": hits,
        "cost_usd": totals.cost_usd if totals is not None else None,
    }
    simulated = ", SIMULATED" if info.simulated else ""
    return Past("runs", path.name, at, info.scenario_name, verdict, f"SLO {slo}{simulated}", figures, info.valid)


def _slo_word(info: RunInfo) -> str:
    results = {one.result for one in info.slo or ()}
    if not results:
        return "not set"
    if "missed" in results:
        return "missed"
    return "met" if results == {"met"} else "undecided"


def _plan(path: Path) -> Past:
    plan = load_plan(path)
    cost = plan.event_cost_usd.mid
    words = "SIMULATED" if plan.simulated else plan.first_limit_exceeded
    figures: dict[str, float | None] = {"cost_usd": cost}
    return Past("plans", path.name, _time_of(path.name, path), plan.scenario.name, "planned", words, figures, True)


def _bench(path: Path) -> Past:
    bench = load_bench(path)
    cases = bench.cases
    subject = ", ".join(sorted(set(map(str, cases["model_id"].dropna()))))[:60] or "?"
    known = cases["output_tokens_per_s"].dropna()
    figures = {"tokens_per_s": float(known.max()) if len(known) else None}
    words = f"{len(cases)} cases"
    return Past("benches", path.name, _time_of(path.name, path), subject, "measured", words, figures, True)


def _check(file: Path) -> Past | None:
    """A check's `--json`; None for any other file."""
    try:
        if file.stat().st_size > CHECK_BYTES_MAX:
            return None
        held = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(held, dict) or held.get("schema") != CHECK_SCHEMA:
        return None
    lines = held.get("lines")
    words = f"{len(lines)} gates" if isinstance(lines, list) else ""
    subject, verdict = str(held.get("scenario"))[:60], str(held.get("verdict"))[:20]
    return Past("checks", file.stem, _time_of(file.stem, file), subject, verdict, words, {}, True)


_READERS: dict[str, Callable[[Path], Past]] = {"runs": _run, "plans": _plan, "benches": _bench}


def _lines(past: list[Past]) -> list[str]:
    """The table for a terminal: oldest first; `<` marks where a figure begins a new level."""
    head = ("time", "kind", "record", "of", "verdict", "rate at SLO", "hits", "cost", "")
    rows = [head, *(_cells(one) for one in past)]
    widths = [max(len(row[place]) for row in rows) for place in range(len(head))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _cells(one: Past) -> tuple[str, ...]:
    figures = one.figures
    rate, hits, cost = figures.get("rate_at_slo_per_s"), figures.get("hit_ratio"), figures.get("cost_usd")
    words = f"{one.words}{' < ' + ', '.join(one.marks) if one.marks else ''}"
    cells = (
        one.at.replace("T", " ")[:16],
        one.kind,
        one.id,
        one.subject,
        one.verdict,
        "" if rate is None else f"{rate:.4g}/s",
        "" if hits is None else f"{hits:.1%}",
        "" if cost is None else f"${cost:,.2f}",
        words,
    )
    return tuple(Untrusted(cell).terminal for cell in cells)
