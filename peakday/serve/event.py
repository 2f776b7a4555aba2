"""The event pages: the picture of demand to draw on, with the YAML beside it, both ways."""

from __future__ import annotations

import asyncio
from pathlib import Path

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from host.atomic import write_text
from host.errors import PeakdayError
from host.json_text import parse_json
from peakday.config import check_scenario_file
from peakday.serve.desk import Desk, body
from peakday.serve.pages import page
from peakday.serve.sketch import SketchError, begun, edited, picture_data, sketched


async def event(request: Request) -> Response:
    """The page of a scenario, or of the text in its address."""
    desk: Desk = request.app.state.desk
    scenario = request.query_params.get("scenario") or "prime_day"
    text = request.query_params.get("yaml") or begun(scenario)
    names = sorted({*(place.id for place in desk.catalogue.places("scenarios")), scenario})
    return page(request, "event.html", scenario=scenario, text=text, scenarios=names)


async def picture(request: Request) -> Response:
    """The text after an edit, and its picture: `?yaml=…&edit={…}`. Nothing is written."""
    desk: Desk = request.app.state.desk
    text, edit = request.query_params.get("yaml", ""), request.query_params.get("edit")
    return JSONResponse(await asyncio.to_thread(_drawn, text, edit, desk.base))


def _drawn(text: str, edit: str | None, base: Path) -> dict[str, object]:
    if edit:
        change = parse_json(edit, "edit", error=SketchError)
        if not isinstance(change, dict):
            raise SketchError('edit: expected a mapping such as {"kind": "add_drop", "at_s": 43200}')
        text = edited(text, change, base)
    return {"text": text, "picture": picture_data(sketched(text, base))}


async def save(request: Request) -> Response:
    """Write the text as NAME.yaml, NAME being what it is called in it; nothing that is there is replaced."""
    desk: Desk = request.app.state.desk
    text = str((await body(request)).get("yaml", ""))
    path = await asyncio.to_thread(_kept, text, desk.base)
    return JSONResponse({"id": path.name, "href": f"/what-if?scenario={path.name}"})


def _kept(text: str, base: Path) -> Path:
    path = base / f"{sketched(text, base).name}.yaml"
    check_scenario_file(path)
    if path.exists():
        raise PeakdayError(f"{path.name} is there already; give the event another name")
    write_text(path, text if text.endswith("\n") else f"{text}\n")
    return path
