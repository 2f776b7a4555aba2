"""The application: which address shows what."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from host.errors import PeakdayError
from peakday.serve import chat, day, event, explain, home, running, what_if
from peakday.serve.desk import Desk
from peakday.serve.pages import asset, message
from peakday.serve.planning.planner import Planner
from peakday.serve.protection import Protection

ROUTES = (
    Route("/", home.home),
    Route("/records/{kind}/{id}", home.record),
    Route("/records/{kind}/{id}/report", home.report),
    Route("/records/plans/{id}/why", explain.of_record),
    Route("/records/{kind}/{id}/files/{name}", home.download),
    Route("/compare", home.compare),
    Route("/compare/drawn", home.compare_drawn),
    Route("/what-if", what_if.what_if),
    Route("/what-if/answer", what_if.answer),
    Route("/what-if/why", what_if.chain),
    Route("/what-if/plan", what_if.keep_plan, methods=["POST"]),
    Route("/what-if/scenario", what_if.keep_scenario, methods=["POST"]),
    Route("/event", event.event),
    Route("/event/picture", event.picture),
    Route("/event/save", event.save, methods=["POST"]),
    Route("/day", day.day),
    Route("/day/watch", day.watch),
    Route("/day/ready/{id}/{name}", day.document),
    Route("/chat", chat.chat),
    Route("/chat/start", chat.start, methods=["POST"]),
    Route("/chat/stop", chat.stop, methods=["POST"]),
    Route("/events", running.events),
    Route("/runs/{id}/end", running.have_end, methods=["POST"]),
    Route("/assets/{version}/{name}", asset),
)


def application(desk: Desk) -> ASGIApp:
    """All pages of a desk, behind its rules."""
    app = Starlette(
        routes=list(ROUTES),
        lifespan=_lifespan,
        exception_handlers={404: _absent, PeakdayError: _refused, ValueError: _refused, OSError: _refused},
    )
    app.state.desk = desk
    app.state.watch = running.Watch()
    app.state.planner = Planner(desk.base)
    app.state.chat = chat.Chat()
    return Protection(app, desk.rules)


@contextlib.asynccontextmanager
async def _lifespan(app: Starlette) -> AsyncIterator[None]:
    """What was started for the pages ends with them."""
    try:
        yield
    finally:
        app.state.planner.close()
        app.state.chat.stop()


async def _absent(request: Request, _error: Exception) -> Response:
    return message(request, "No such page", "Nothing is at this address.", 404)


async def _refused(request: Request, error: Exception) -> Response:
    """What a reader can fix: one line; a page where a page was wanted."""
    text = " ".join(str(error).split())
    if request.method == "GET" and "text/html" in request.headers.get("accept", ""):
        return message(request, "That cannot be shown", text, 400, getattr(error, "page", ""))
    return JSONResponse({"error": text}, 400)
