"""The home page: everything in the folder, newest first; and the page of each record, and of two beside each other."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response

from capacity.plan import load_plan
from dashboards.html.compare import compare_page
from dashboards.html.render import render
from dashboards.report import write_report
from host.errors import PeakdayError
from loadgen.record import Run
from neuron_bench.record import Bench
from peakday.gate.kept import PAGE
from peakday.records.folders import KINDS, cache_folder
from peakday.records.reports import load_any
from peakday.serve.catalogue import Place, own_file
from peakday.serve.desk import Desk
from peakday.serve.entries import Entry, entry_of
from peakday.serve.explain import shown_numbers
from peakday.serve.pages import message, page
from peakday.serve.protection import DRAWN_POLICY
from wire.text import Untrusted

ORDER = ("plans", "runs", "benches", "checks", "scenarios")
DOWNLOADS = {
    "plans": ("plan.json", "plan.xlsx", "order.csv"),
    "runs": ("run.json",),
    "benches": ("bench.json",),
    "checks": ("check.json",),
}


async def home(request: Request) -> Response:
    """Every record and scenario in a line; `?kind=` and `?q=` leave some out."""
    desk: Desk = request.app.state.desk
    kind, words = request.query_params.get("kind", ""), request.query_params.get("q", "")
    entries = await asyncio.to_thread(desk.catalogue.entries)
    counts = {name: sum(entry.kind == name for entry in entries) for name in ORDER}
    shown = [entry for entry in entries if kind in ("", entry.kind) and _holds(entry, words)]
    return page(request, "home.html", entries=shown, counts=counts, kind=kind, words=words)


def _holds(entry: Entry, words: str) -> bool:
    text = " ".join((entry.kind, entry.id, entry.name, entry.verdict, entry.provenance, entry.headline)).lower()
    return all(word in text for word in words.lower().split())


async def record(request: Request) -> Response:
    """One record: its line, its files, and its report in a frame of its own origin."""
    desk: Desk = request.app.state.desk
    place = _place(request)
    if place is None:
        return message(request, "No such record", "It is not in this folder; it may have been removed.", 404)
    entry = await asyncio.to_thread(entry_of, place.kind, place.id, place.folder, going=False)
    older = [one.id for one in desk.catalogue.entries(place.kind) if one.id < place.id] if place.kind in KINDS else []
    numbers = shown_numbers(await asyncio.to_thread(load_plan, place.folder)) if entry.kind == "plans" else []
    files = [name for name in DOWNLOADS[place.kind] if own_file(place.folder, name)]
    return page(request, "record.html", entry=entry, files=files, before=older[0] if older else "", numbers=numbers)


async def report(request: Request) -> Response:
    """The HTML report of a record: the one beside it, or one drawn now and kept in the cache folder."""
    place = _place(request)
    if place is None:
        return Response("no such record", 404)
    try:
        path = await asyncio.to_thread(_drawn, place)
    except PeakdayError as error:
        return HTMLResponse(f"<!doctype html><title>No report</title><p>{_plain(error)}</p>", 409)
    return FileResponse(path, media_type="text/html", headers={"Content-Security-Policy": DRAWN_POLICY})


async def download(request: Request) -> Response:
    """A file of a record, by its name."""
    place, name = _place(request), request.path_params["name"]
    path = own_file(place.folder, name) if place is not None and name in DOWNLOADS[place.kind] else None
    if place is None or path is None:
        return Response("no such file", 404)
    return FileResponse(path, filename=f"{place.id}-{name}")


async def compare(request: Request) -> Response:
    """Two records of a kind, ticked on the home page: `?id=plans/A&id=plans/B`, the older first."""
    places = await asyncio.to_thread(_two, request)
    if places is None:
        text = "Tick two records of one kind on the home page: two runs, two plans or two benches."
        return message(request, "Nothing to compare", text, 400)
    return page(request, "compare.html", kind=places[0].kind, before=places[0].id, after=places[1].id)


async def compare_drawn(request: Request) -> Response:
    """The comparison itself, for the frame."""
    places = await asyncio.to_thread(_two, request)
    if places is None:
        return Response("nothing to compare", 404)
    try:
        text = await asyncio.to_thread(_compared, *places)
    except PeakdayError as error:
        return HTMLResponse(f"<!doctype html><title>No comparison</title><p>{_plain(error)}</p>", 409)
    return HTMLResponse(text, headers={"Content-Security-Policy": DRAWN_POLICY})


def _compared(before: Place, after: Place) -> str:
    return render(compare_page(load_any(str(before.folder))[0], load_any(str(after.folder))[0]))


def _two(request: Request) -> list[Place] | None:
    desk: Desk = request.app.state.desk
    names = [name.partition("/") for name in request.query_params.getlist("id")]
    found = [desk.catalogue.place(kind, id_) for kind, _, id_ in names if kind in KINDS]
    places = sorted((place for place in found if place is not None), key=lambda place: place.id)
    return places if len(places) == 2 and places[0].kind == places[1].kind and places[0].id != places[1].id else None


def _place(request: Request) -> Place | None:
    desk: Desk = request.app.state.desk
    kind, wanted = request.path_params["kind"], request.path_params["id"]
    return desk.catalogue.place(kind, wanted) if kind in DOWNLOADS else None


def _drawn(place: Place) -> Path:
    """The report's file. One older than its record is drawn anew; beside the record nothing is written."""
    beside = own_file(place.folder, PAGE if place.kind == "checks" else "report.html")
    changed_ns = place.file.stat().st_mtime_ns
    if beside is not None and (place.kind == "checks" or beside.stat().st_mtime_ns >= changed_ns):
        return beside
    if place.kind == "checks":
        raise PeakdayError(f"{place.id}: its page is gone; check again")
    key = hashlib.sha256(f"{place.folder.resolve()} {changed_ns}".encode()).hexdigest()[:16]
    kept = cache_folder() / "serve" / "reports" / f"{key}.html"
    if not kept.is_file():
        record, _ = load_any(str(place.folder), for_report=True)
        write_report(
            kept,
            run=record if isinstance(record, Run) else None,
            plan=None if isinstance(record, Run | Bench) else record,
            bench=record if isinstance(record, Bench) else None,
        )
    return kept


def _plain(error: PeakdayError) -> str:
    return Untrusted(str(error)).html
