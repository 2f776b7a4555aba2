"""The verb `watch`: read, compare, print, wait a minute; once with --once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from capacity.plan import Plan, load_plan
from host.errors import Exit
from host.fetch import fetch
from peakday.config import load_config
from peakday.errors import CommandError
from peakday.guard import admit_page
from peakday.records.folders import find_record
from peakday.watch.comparison import Comparison, compared
from peakday.watch.observed import Key, Series, of_prometheus, of_usage
from peakday.watch.planned import planned
from wire.text import Untrusted

FETCH_WITHIN_S = 10.0
Read = Callable[[float], Series]


@dataclass(frozen=True)
class Watched:
    """One look: series that the plan knows, those it does not, and the newest minute of all."""

    plan: Plan
    offset_s: float | None
    comparisons: tuple[Comparison, ...]
    unknown: tuple[Key, ...]

    @property
    def code(self) -> Exit:
        """1 where a limit is exceeded or an assumption left its range, 4 where there is nothing to compare."""
        if not self.comparisons:
            return Exit.INCONCLUSIVE
        bad = any(one.leaving or any(use.exceeded for use in one.uses) for one in self.comparisons)
        return Exit.GATE_FAILED if bad else Exit.OK


def reader(prometheus: str | None, usage: Path | None) -> Read:
    """What reads a series, given the present time.

    Raises:
        CommandError: neither or both are named, or the address is not owned.
    """
    if (prometheus is None) == (usage is None):
        raise CommandError("watch: name one of --prometheus URL and --usage FILE")
    if usage is not None:
        return lambda now_s: of_usage(usage)
    page = admit_page(str(prometheus), load_config(), "--prometheus")

    def get(url: str) -> bytes:
        return fetch(url, within_s=FETCH_WITHIN_S, addresses=page.addresses)

    return lambda now_s: of_prometheus(page.url, now_s, get)


def look(plan: Plan, series: Series, starts: datetime | None) -> Watched:
    """The newest minute of every series against the plan. starts: the first hour; None: the peak is the measure."""
    newest = max((minutes[-1].minute_s for minutes in series.values() if minutes), default=None)
    offset_s = None if starts is None or newest is None else newest - starts.timestamp()
    found, unknown = [], []
    for key, minutes in sorted(series.items()):
        expected = planned(plan, key, offset_s)
        if expected is None:
            unknown.append(key)
        elif (one := compared(expected, minutes)) is not None:
            found.append(one)
    return Watched(plan, offset_s, tuple(found), tuple(unknown))


def watch(
    named: str, read: Read, starts: datetime | None, *, once: bool, every_s: float,
    clock: Callable[[], float], sleep: Callable[[float], None],
) -> Iterator[tuple[Exit, str, dict[str, object]]]:  # fmt: skip
    """A look each minute, for ever, or one.

    Raises:
        CommandError: no such plan, or nothing can be read.
    """
    plan = load_plan(find_record("plans", named))
    while True:
        seen = look(plan, read(clock()), starts)
        yield seen.code, watch_text(seen), watch_data(seen)
        if once:
            return
        sleep(every_s)


# --- words -------------------------------------------------------------------------------------------------------


def watch_text(watched: Watched) -> str:
    """The answer first: what leaves its range, what is full when and what then; a line for each series below."""
    lines = [_head(watched), *_answer(watched)]
    for one in watched.comparisons:
        model, region = one.planned.key
        band = one.planned.calls_per_min
        hits = next((a for a in one.assumptions if a.name == "cache hit ratio"), None)
        parts = [
            f"{one.calls_per_min:,.0f} calls/min (planned {band['p50']:,.0f}, p95 {band['p95']:,.0f})",
            *([f"hits {hits.value:.0%} ({hits.low:.0%} to {hits.high:.0%})"] if hits else []),
            f"throttled {one.throttled_ratio:.1%}",
            *(f"{use.limit.name} {use.used_ratio:.0%}" for use in one.uses),
        ]
        lines.append(f"  {f'{model} {region}'.strip():<28} {'  '.join(parts)}")
    lines += [f"  not in the plan: {' '.join(key).strip()}" for key in watched.unknown]
    return "\n".join(Untrusted(line).terminal for line in lines)


def _head(watched: Watched) -> str:
    newest = max((one.minute_s for one in watched.comparisons), default=None)
    if newest is None:
        return f"nothing to compare with plan {watched.plan.plan_id}: no minute of a model that it knows has a call"
    at = datetime.fromtimestamp(newest, tz=UTC)
    where = "against the peak" if watched.offset_s is None else f"{watched.offset_s / 3600:+.1f} h into the event"
    mark = "  SIMULATED plan" if watched.plan.simulated else ""
    return f"{at:%Y-%m-%d %H:%M} UTC, {where}, plan {watched.plan.plan_id}{mark}"


def _answer(watched: Watched) -> list[str]:
    lines = []
    for one in watched.comparisons:
        name = " ".join(one.planned.key).strip()
        lines += [f"  LEAVING    {name}: {words}" for words in one.leaving]
        full = one.fullest
        if full is not None and (full.exceeded or full.full_in_min is not None):
            when = "exceeded" if full.exceeded else f"full in {full.full_in_min:,.0f} min at this trend"
            then = f"; then {' → '.join(one.planned.then)}" if one.planned.then else "; the plan has no fallback for it"
            lines.append(f"  {'EXCEEDED' if full.exceeded else 'LASTS':<10} {name}: {full.limit.name} {when}{then}")
    quiet = ["  every series lies in its range, and no limit fills at this trend"]
    return lines or (quiet if watched.comparisons else [])


def watch_data(watched: Watched) -> dict[str, object]:
    """The same as one document."""
    rows = [
        {
            "model": one.planned.key[0],
            "region": one.planned.key[1],
            "minute_utc": datetime.fromtimestamp(one.minute_s, tz=UTC).isoformat(),
            "calls_per_min": one.calls_per_min,
            "planned_calls_per_min": dict(one.planned.calls_per_min),
            "throttled_ratio": one.throttled_ratio,
            "leaving": list(one.leaving),
            "assumptions": [asdict(a) | {"inside": a.inside} for a in one.assumptions],
            "limits": [
                {"name": use.limit.name, "used_ratio": use.used_ratio, "full_in_min": use.full_in_min}
                for use in one.uses
            ],
            "then": list(one.planned.then),
        }
        for one in watched.comparisons
    ]
    return {
        "schema": "peakday.watch/1",
        "plan": watched.plan.plan_id,
        "offset_s": watched.offset_s,
        "exit_code": int(watched.code),
        "series": rows,
        "unknown": [list(key) for key in watched.unknown],
    }
