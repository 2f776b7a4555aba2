"""The chain behind a number, as `peakday why` prints it, for the page that asks."""

from __future__ import annotations

import asyncio
import shlex

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from capacity.plan import Plan, load_plan
from dashboards.numbers.run import Number
from dashboards.numbers.units import show
from dashboards.numbers.why import explained_numbers, why
from peakday.serve.desk import Desk


def shown_numbers(plan: Plan) -> list[Number]:
    """Every number of a plan that has a chain, the event's cost first."""
    numbers = explained_numbers(plan)
    return sorted(numbers, key=lambda number: (number.name != "event_cost_usd", number.group != "cost"))


def chain_data(plan: Plan, number: str, command: str) -> dict[str, object]:
    """The chain as the pages show it. command: what prints the same.

    Raises:
        WhyError: the plan holds no such number with a chain.
    """
    chain = why(plan, number)
    links = [
        {
            "name": link.name,
            "text": show(link.value, link.unit),
            "formula": link.formula,
            "source": link.source,
            "provenance": link.provenance,
        }
        for link in chain.links
    ]
    return {"label": chain.number.label, "shown": chain.number.text, "links": links, "command": command}


async def of_record(request: Request) -> Response:
    """The chain of one number of a plan of this folder."""
    desk: Desk = request.app.state.desk
    place = desk.catalogue.place("plans", request.path_params["id"])
    number = request.query_params.get("number", "")
    if place is None:
        return JSONResponse({"error": "no such plan here"}, 404)
    plan = await asyncio.to_thread(load_plan, place.folder)
    return JSONResponse(chain_data(plan, number, f"peakday why {place.id} {shlex.quote(number)}"))
