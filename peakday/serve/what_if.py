"""The what-if pages: the form, the answer as it comes, why a number is what it is, and keeping it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from host.errors import PeakdayError
from loadgen.record import read_info
from loadgen.run_info import RecordError
from peakday.records.folders import records
from peakday.serve.desk import Desk, body
from peakday.serve.explain import chain_data
from peakday.serve.pages import page
from peakday.serve.planning.answer import answer_data
from peakday.serve.planning.form import groups, unlisted
from peakday.serve.planning.planner import Planner
from peakday.serve.planning.question import Question
from peakday.serve.planning.saving import save_plan, save_scenario
from scenarios.loading import load_scenario


async def what_if(request: Request) -> Response:
    """The form of a question; its answer is asked for by the page."""
    desk: Desk = request.app.state.desk
    question = await _asked(request)
    base = await asyncio.to_thread(load_scenario, question.scenario)
    problem, now = "", base
    try:
        now = await asyncio.to_thread(load_scenario, question.scenario, question.sets)
    except PeakdayError as error:
        problem = " ".join(str(error).split())
    listed = groups(now, base, question.prices)
    names = [place.id for place in desk.catalogue.places("scenarios")]
    runs = await asyncio.to_thread(_valid_runs, desk)
    return page(
        request,
        "what_if.html",
        question=question,
        groups=listed,
        free="\n".join(unlisted(question.sets, question.prices, listed)),
        problem=problem,
        scenarios=sorted({*names, question.scenario}),
        runs=runs,
    )


async def _asked(request: Request) -> Question:
    """The question in an address, with its run named."""
    desk: Desk = request.app.state.desk
    return await asyncio.to_thread(Question.of_query(request.query_params).pinned, desk.base)


def _valid_runs(desk: Desk) -> list[str]:
    """IDs of the newest runs that a plan may take its tokens from."""
    found = []
    for folder in records("runs", desk.base)[:50]:
        try:
            if read_info(folder).valid:
                found.append(folder.name)
        except RecordError:
            continue
    return found


async def answer(request: Request) -> Response:
    """Progress and then the answer, as server-sent events."""
    question = await _asked(request)
    return StreamingResponse(_answer(request.app.state.planner, question), media_type="text/event-stream")


async def _answer(planner: Planner, question: Question) -> AsyncIterator[str]:
    lines: asyncio.Queue[str] = asyncio.Queue()
    work = asyncio.ensure_future(_both(planner, question, lines))
    try:
        while not work.done() or not lines.empty():
            waiting = asyncio.ensure_future(lines.get())
            try:
                await asyncio.wait({work, waiting}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                line = waiting.result() if waiting.done() else None
                waiting.cancel()
            if line is not None:
                yield _event("progress", {"text": line})
        yield _event("answer", work.result())
    except PeakdayError as error:
        yield _event("refused", {"error": " ".join(str(error).split())})
    finally:
        work.cancel()


async def _both(planner: Planner, question: Question, lines: asyncio.Queue[str]) -> dict[str, object]:
    base = await planner.plan(question.base, lambda line: lines.put_nowait(f"base: {line}"))
    plan = await planner.plan(question, lines.put_nowait)
    return await asyncio.to_thread(answer_data, base, plan, question)


def _event(name: str, data: dict[str, object]) -> str:
    return f"event: {name}\ndata: {json.dumps(data, allow_nan=False)}\n\n"


async def chain(request: Request) -> Response:
    """Why one number of a what-if is what it is."""
    question = await _asked(request)
    number = request.query_params.get("number", "")
    plan = await request.app.state.planner.plan(question, lambda _: None)
    return JSONResponse(chain_data(plan, number, ""))


async def keep_plan(request: Request) -> Response:
    """Write the plan as a record of this folder."""
    desk: Desk = request.app.state.desk
    question = await asyncio.to_thread(Question.of_data(await body(request)).pinned, desk.base)
    plan = await request.app.state.planner.plan(question, lambda _: None)
    folder = await asyncio.to_thread(save_plan, question, plan, desk.base)
    return JSONResponse({"id": folder.name, "href": f"/records/plans/{folder.name}"})


async def keep_scenario(request: Request) -> Response:
    """Write the what-if as a scenario file of this folder."""
    desk: Desk = request.app.state.desk
    asked = await body(request)
    path = await asyncio.to_thread(save_scenario, Question.of_data(asked), str(asked.get("name", "")), desk.base)
    return JSONResponse({"id": path.name, "href": f"/what-if?scenario={path.name}"})
