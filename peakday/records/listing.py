"""`list`: the records of this folder, newest first, with a line of what each says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from capacity.plan import PlanError, load_plan
from loadgen.record import read_info
from loadgen.run_info import RecordError
from neuron_bench.record import BenchRecordError, load_bench
from peakday.errors import CommandError
from peakday.records.folders import KINDS, records
from wire.text import Untrusted

SHOWN = 20


@dataclass(frozen=True)
class Listed:
    """One record: what it is, and what it says in a line; `damaged` where it cannot be read."""

    kind: str
    id: str
    says: str
    damaged: bool = False


def list_records(kind: str | None, limit: int = SHOWN) -> tuple[str, list[dict[str, object]]]:
    """The newest records of a kind, or of all kinds, newest first; the text to print, and the same as data.

    Raises:
        CommandError: a kind that is none.
    """
    if kind is not None and kind not in KINDS:
        raise CommandError(f"{kind!r} is no kind of record; expected one of {', '.join(KINDS)}")
    kinds = [kind] if kind else list(KINDS)
    found = sorted(((path.name, name, path) for name in kinds for path in records(name)), reverse=True)
    listed = [_listed(name, path) for _, name, path in found[:limit]]
    if not listed:
        return f"no {kind or 'record'} here yet; `peakday demo` makes some", []
    width = max(len(one.id) for one in listed)
    lines = [f"{one.kind:<8} {one.id:<{width}}  {Untrusted(one.says).terminal}" for one in listed]
    if len(found) > limit:
        lines.append(f"{len(found) - limit} older; --limit shows more")
    return "\n".join(lines), [asdict(one) for one in listed]


def _listed(kind: str, path: Path) -> Listed:
    try:
        return Listed(kind, path.name, _SENTENCES[kind](path))
    except (RecordError, PlanError, BenchRecordError) as error:
        return Listed(kind, path.name, f"damaged: {error}", damaged=True)


def _run(path: Path) -> str:
    info = read_info(path)
    if info.totals is None:
        return f"{info.scenario_name}, not finished"
    verdict = "VALID" if info.valid else "INVALID"
    simulated = ", SIMULATED" if info.simulated else ""
    return f"{info.scenario_name}, {verdict}, {info.totals.completed:,} of {info.totals.asked:,} turns{simulated}"


def _plan(path: Path) -> str:
    plan = load_plan(path)
    simulated = ", SIMULATED" if plan.simulated else ""
    return (
        f"{plan.scenario.name}, ${plan.event_cost_usd.mid:,.0f} for the event{simulated}; {plan.first_limit_exceeded}"
    )


def _bench(path: Path) -> str:
    bench = load_bench(path)
    return f"{len(bench.cases):,} cases"


_SENTENCES: dict[str, Callable[[Path], str]] = {"runs": _run, "plans": _plan, "benches": _bench}
