"""The day's pages: documents that `ready` wrote, and the event against its plan, looked at again each minute."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, Response

from capacity.plan import load_plan
from dashboards.numbers.units import show
from facts.account import is_usage
from host.files import FileError, read_head
from peakday.errors import CommandError
from peakday.quantities import moment
from peakday.records.folders import records
from peakday.serve.catalogue import own_file
from peakday.serve.desk import Desk
from peakday.serve.pages import message, page
from peakday.serve.protection import DRAWN_POLICY
from peakday.watch.comparison import Comparison
from peakday.watch.observed import Observed, Series
from peakday.watch.watch import Watched, look, reader

DOCUMENTS = ("ready.html", "ready.md", "ready.docx", "actions.csv")
PROMETHEUS = "prometheus"
WIDTH, HEIGHT = 760, 120
"""Of the small picture of a series, in its own units."""


@dataclass(frozen=True)
class Document:
    """What `ready` wrote: its ID and files, and the first line of its verdict."""

    id: str
    files: tuple[str, ...]


@dataclass(frozen=True)
class Row:
    """One series as the page shows it. path: calls a minute; y: of the planned p50 and p95 on the same scale."""

    name: str
    now: str
    band: str
    tone: str
    facts: tuple[tuple[str, str, str], ...]  # name, text, tone
    words: tuple[str, ...]
    then: str
    path: str
    p50_y: float
    p95_y: float
    pictured: str


async def day(request: Request) -> Response:
    """Plans that can be watched, and the documents that are signed before the event."""
    desk: Desk = request.app.state.desk
    plans = [path.name for path in await asyncio.to_thread(records, "plans", desk.base)]
    found = await asyncio.to_thread(_documents, desk.base)
    events = sorted(path.name for path in desk.base.glob("*.y*ml") if _is_event(path))
    return page(request, "day.html", plans=plans, sources=_sources(desk), documents=found, events=events)


async def document(request: Request) -> Response:
    """A file of a ready document; the page in a frame of its own origin."""
    desk: Desk = request.app.state.desk
    wanted, name = request.path_params["id"], request.path_params["name"]
    known = next((one for one in _documents(desk.base) if one.id == wanted), None)
    if known is None or name not in known.files:
        return message(request, "No such document", "It is not in this folder; it may have been removed.", 404)
    path = desk.base / "ready" / wanted / name
    if name.endswith(".html"):
        return FileResponse(path, media_type="text/html", headers={"Content-Security-Policy": DRAWN_POLICY})
    return FileResponse(path, filename=f"{wanted}-{name}")


async def watch(request: Request) -> Response:
    """The newest minute against a plan, as `peakday watch` says it; the page asks again each minute."""
    desk: Desk = request.app.state.desk
    wanted, source, starts = (request.query_params.get(name, "") for name in ("plan", "source", "starts"))
    place = desk.catalogue.place("plans", wanted)
    if place is None:
        return message(request, "No such plan", "It is not in this folder: choose one on the page of the day.", 404)
    begun = moment(starts, "starts") if starts.strip() else None
    plan = await asyncio.to_thread(load_plan, place.folder)
    series = await asyncio.to_thread(_read, desk, source)
    watched = look(plan, series, begun)
    command = f"peakday watch {wanted} " + (
        f"--prometheus {desk.prometheus}" if source == PROMETHEUS else f"--usage {source}"
    )
    command += f" --starts {starts}" if begun else ""
    rows = [_row(one, series[one.planned.key]) for one in watched.comparisons]
    newest = max((one.minute_s for one in watched.comparisons), default=None)
    at = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(newest)) if newest is not None else ""
    return page(
        request, "watch.html", plan=plan, id=place.id, rows=rows, at=at, source=source, starts=starts, command=command,
        verdict=_verdict(watched), unknown=[" ".join(key).strip() for key in watched.unknown],
        hours=None if watched.offset_s is None else watched.offset_s / 3600, width=WIDTH, height=HEIGHT,
    )  # fmt: skip


def _documents(base: Path) -> list[Document]:
    found = []
    for folder in sorted((base / "ready").glob("*/"), reverse=True) if (base / "ready").is_dir() else []:
        files = tuple(name for name in DOCUMENTS if own_file(folder, name))
        if files and not folder.name.startswith("."):
            found.append(Document(folder.name, files))
    return found


def _sources(desk: Desk) -> list[str]:
    """Prometheus as serve was started with it, and every usage file of the folder: an address names no other."""
    files = [path for path in sorted(desk.base.glob("*.csv")) if is_usage(path)]
    files += sorted(desk.base.glob("aws/*/usage.csv"), reverse=True)
    return [*([PROMETHEUS] if desk.prometheus else []), *(str(path.relative_to(desk.base)) for path in files)]


def _read(desk: Desk, source: str) -> Series:
    if source not in _sources(desk):
        raise CommandError(f"{source!r}: no usage file of this folder; `peakday aws pull` writes one")
    if source == PROMETHEUS:
        return reader(desk.prometheus, None)(time.time())
    return reader(None, desk.base / source)(time.time())


def _is_event(path: Path) -> bool:
    try:
        return b"peakday.event/" in read_head(path, 4_000)
    except FileError:
        return False


def _verdict(watched: Watched) -> tuple[str, str]:
    """In words, with their tone."""
    if not watched.comparisons:
        return "nothing to compare: no minute of a model that the plan knows has a call", "warn"
    bad = sum(bool(one.leaving) or any(use.exceeded for use in one.uses) for one in watched.comparisons)
    filling = sum(one.fullest is not None and one.fullest.full_in_min is not None for one in watched.comparisons)
    if bad:
        return f"{bad} of {len(watched.comparisons)} series out of the plan", "bad"
    if filling:
        return f"in range; {filling} of {len(watched.comparisons)} fill a limit at this trend", "warn"
    return "every series lies in its range, and no limit fills at this trend", "good"


def _row(one: Comparison, minutes: tuple[Observed, ...]) -> Row:
    band = one.planned.calls_per_min
    facts = [("throttled", f"{one.throttled_ratio:.1%}", "bad" if one.throttled_ratio > 0 else "plain")]
    facts += [(a.name, f"{_mean(a.name, a.value)} ({_mean(a.name, a.low)} to {_mean(a.name, a.high)})",
               "plain" if a.inside else "bad") for a in one.assumptions]  # fmt: skip
    facts += [(f"{use.limit.name} used", _used(use.used_ratio, use.full_in_min), "bad" if use.exceeded else "plain")
              for use in one.uses]  # fmt: skip
    shown = minutes[-30:]
    most = 1.08 * max([band["p95"], *(m.calls + m.throttles for m in shown)]) or 1.0

    def y(value: float) -> float:
        return round(HEIGHT - HEIGHT * value / most, 1)

    step = WIDTH / max(len(shown) - 1, 1)
    path = " ".join(f"{'L' if i else 'M'}{i * step:.1f},{y(m.calls + m.throttles)}" for i, m in enumerate(shown))
    out = bool(one.leaving) or any(use.exceeded for use in one.uses)
    return Row(
        name=" ".join(one.planned.key).strip(),
        now=f"{one.calls_per_min:,.0f} calls/min",
        band=f"planned {band['p50']:,.0f}, p95 {band['p95']:,.0f}",
        tone="bad" if out else "good",
        facts=tuple(facts),
        words=(*one.leaving, *(f"{use.limit.name} is used up" for use in one.uses if use.exceeded)),
        then=" → ".join(one.planned.then) or "the plan has no fallback for it",
        path=path,
        p50_y=y(band["p50"]),
        p95_y=y(band["p95"]),
        pictured=f"Calls a minute over the last {len(shown)} minutes, now {one.calls_per_min:,.0f}; planned "
        f"{band['p50']:,.0f}, p95 {band['p95']:,.0f}",
    )


def _used(ratio: float, full_in_min: float | None) -> str:
    return f"{ratio:.0%}" + (f", full in {full_in_min:,.0f} min" if full_in_min is not None else "")


def _mean(name: str, value: float) -> str:
    return f"{value:.0%}" if "ratio" in name else show(value, "tokens")
