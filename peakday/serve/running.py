"""Runs that are under way: their live numbers as server-sent events, and how to have one drain or stop."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from dashboards.numbers.units import show
from host.errors import PeakdayError
from loadgen import control
from loadgen.analysis.verdict import start_lag_limit_s
from loadgen.coordinator.panel import CPU_BUSY_RATIO, LATENCIES, Rates
from loadgen.coordinator.status_line import cache_hit_token_ratio
from loadgen.job import LoadJob
from loadgen.live import read_live
from peakday.serve.catalogue import is_going
from peakday.serve.desk import Desk, body

EVERY_S = 1.0
WISHES = {"stop": control.DRAIN, "abort": control.STOP}
"""What a button says -> what the run is asked: stop lets turns in flight end, abort cuts them off."""


@dataclass(frozen=True)
class Figure:
    """One line of a run's panel. tone: plain, or bad where it would make the run invalid or a turn fail."""

    name: str
    text: str
    tone: str = "plain"


@dataclass(frozen=True)
class Going:
    """How a run stands. share: of its time that is over, 0 to 1."""

    id: str
    state: str
    share: float
    figures: tuple[Figure, ...]


@dataclass
class Watch:
    """Looks at runs under way; keeps what rates need from look to look."""

    _rates: dict[str, Rates] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _last: tuple[float, str] = (float("-inf"), "")

    def state(self, desk: Desk) -> str:
        """What every open page is sent, as JSON: looked for once a second, however many pages are open."""
        with self._lock:
            if time.monotonic() - self._last[0] >= 0.9 * EVERY_S:
                going = [asdict(one) for one in self.look(desk)]
                self._last = time.monotonic(), json.dumps({"going": going, "newest": _signature(desk)})
            return self._last[1]

    def look(self, desk: Desk) -> list[Going]:
        """Every run under way, newest first."""
        places = [place for place in desk.catalogue.places("runs") if is_going(place.folder)]
        going = [self._one(place.folder) for place in sorted(places, key=lambda place: place.id, reverse=True)]
        return [one for one in going if one is not None]

    def _one(self, folder: Path) -> Going | None:
        try:
            job, live = LoadJob.read(folder / "job.json"), read_live(folder)
        except (OSError, ValueError, PeakdayError):  # gone, or of another version
            return None
        if live is None or not live["elapsed_s"] or live["elapsed_s"] < 0:
            return Going(folder.name, "starting", 0.0, ())
        length_s = job.length_s
        rates = self._rates.setdefault(folder.name, Rates())
        state = "draining" if live["elapsed_s"] > length_s or control.interrupts_wanted(folder) else "running"
        share = min(1.0, live["elapsed_s"] / length_s)
        return Going(folder.name, state, share, tuple(_figures(live, length_s, rates, job.budget_usd)))


def _figures(live: Mapping[str, Any], length_s: float, rates: Rates, budget_usd: float | None) -> list[Figure]:
    counters, errors = live["counters"], live["errors"]
    offered, sent = rates.recent(live["elapsed_s"], counters.get("asked", 0), counters.get("sent", 0))
    done_s = min(live["elapsed_s"], length_s)
    hit = cache_hit_token_ratio(counters)
    limit = f" of {show(budget_usd, 'usd')}" if budget_usd else ""
    failed = ", ".join(f"{count} x {code}" for code, count in sorted(errors.items(), key=lambda e: -e[1])[:4])
    figures = [
        Figure("time", f"{done_s:.0f} of {length_s:.0f} s"),
        Figure("offered", f"{counters.get('asked', 0):,.0f} ({offered:.1f}/s)"),
        Figure("sent", f"{counters.get('sent', 0):,.0f} ({sent:.1f}/s)"),
        Figure("in flight", f"{live['in_flight']:,}"),
        Figure("errors", failed or "none", "bad" if failed else "plain"),
    ]
    figures += [
        Figure(label, f"p50 {show(q['p50'], 's')}, p99 {show(q['p99'], 's')}")
        for metric, label in LATENCIES
        if (q := live["quantiles"].get(metric))
    ]
    figures += [] if hit is None else [Figure("cache", f"{hit:.1%} of input tokens read")]
    figures += [Figure("cost", f"{show(counters.get('cost_usd', 0.0), 'usd')}{limit}"), _generator(live)]
    notes = filter(None, (live["aborted"], *live["notes"], *live["lost"], *live["faults"][:1]))
    return [*figures, *(Figure("note", note, "bad") for note in notes)]


def _generator(live: Mapping[str, Any]) -> Figure:
    """Whether the load generator keeps its own schedule."""
    lag, ttft = live["quantiles"].get("start_lag_s"), live["quantiles"].get("ttft_s")
    cpu = max((worker["cpu_ratio"] for worker in live["health"].values()), default=0.0)
    limit_s, lag_s = start_lag_limit_s(ttft["p50"] if ttft else None), lag["p99"] if lag else 0.0
    late = lag_s > limit_s
    words = f"start lag p99 {show(lag_s, 's')} (limit {show(limit_s, 's')}), CPU {cpu:.0%} of a core"
    return Figure(
        "generator", words + (": would be INVALID" if late else ""), "bad" if late or cpu >= CPU_BUSY_RATIO else "plain"
    )


async def events(request: Request) -> Response:
    """Once a second, while anybody looks: every run under way, and what the newest of the folder's content is."""
    desk: Desk = request.app.state.desk
    return StreamingResponse(_events(desk, request.app.state.watch), media_type="text/event-stream")


async def _events(desk: Desk, watch: Watch) -> AsyncIterator[str]:
    last = ""
    while True:
        text = await asyncio.to_thread(watch.state, desk)
        if text != last:
            last = text
            yield f"data: {text}\n\n"
        else:
            yield ": nothing new\n\n"
        await asyncio.sleep(EVERY_S)


def _signature(desk: Desk) -> str:
    """Changes when a record comes or goes, or a run ends."""
    places = [place for place in desk.catalogue.places() if place.kind != "scenarios"]
    ended = sum(not is_going(place.folder) for place in places if place.kind == "runs")
    return f"{len(places)} {max((place.id for place in places), default='')} {ended}"


async def have_end(request: Request) -> Response:
    """Have a run drain or stop; the body says which."""
    desk: Desk = request.app.state.desk
    wish = str((await body(request)).get("wish"))
    place = desk.catalogue.place("runs", request.path_params["id"])
    if place is None or wish not in WISHES:
        return JSONResponse({"error": "no such run, or a wish that is neither stop nor abort"}, 404)
    if not is_going(place.folder):
        return JSONResponse({"error": f"{place.id} is not under way"}, 409)
    await asyncio.to_thread(control.ask, place.folder, WISHES[wish])
    return JSONResponse({"id": place.id, "wish": wish})
