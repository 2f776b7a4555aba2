"""Which background streams a worker drives, and the requests they are made of."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable
from functools import cache
from typing import Any

import orjson

from host.control_token import control_headers
from loadgen.job import LoadJob
from loadgen.targets.base import post
from loadgen.transport.connection import Endpoint, endpoint
from loadgen.transport.event_loop import Loop
from loadgen.transport.pool import Pool
from loadgen.worker.background import Background, keep_share
from loadgen.worker.recorder import Recorder
from scenarios import arrivals
from scenarios.resolved import resolved_of


def streams(
    job: LoadJob, worker: int, workers: int, loop: Loop, connect: Callable[[Endpoint], Pool], recorder: Recorder
) -> list[Background]:
    """The streams of one worker; those a run cannot drive are named in the record by `skipped_streams`."""
    wanted = job.scenario["demand"]["background"]
    if not job.background or not job.follows_event:
        return []
    draws = random.Random(f"{job.seed}/background/{worker}")
    makers: list[tuple[str, str | None, Callable[[Endpoint, random.Random], Callable[[], bytes]]]] = [
        ("planner_queries", job.planner_url, lambda where, rng: _planner_query(job, where, rng)),
        ("price_ticks", job.prices_url, lambda where, rng: _price_tick(job, where, rng)),
    ]
    made = []
    for name, url, maker in makers:
        if wanted.get(name) and url is not None:
            where = endpoint(url)
            offsets_s = keep_share(due_times_s(job, name), worker, workers)
            made.append(Background(loop, name, offsets_s, maker(where, draws), connect(where), recorder))
    if worker == 0 and wanted.get("rule_storms") and job.prices_url is not None:
        where = endpoint(job.prices_url)
        ticks = storm_ticks(job)
        requests = iter([_ticks(where, [(product_id, price)]) for _, product_id, price in ticks])
        offsets_s = [at_s for at_s, _, _ in ticks]
        made.append(Background(loop, "rule_storms", offsets_s, lambda: next(requests), connect(where), recorder))
    return made


def storm_ticks(job: LoadJob) -> list[tuple[float, str, float]]:
    """(seconds from t0, product, price) of the ticks that set the world's rules off, inside the window."""
    start_s, end_s = (0.0, job.length_s) if job.rate_per_s is not None else job.window
    rows = _query(job.catalogue, "SELECT at_s, product_id, price FROM storm_ticks ORDER BY at_s")
    return [(at_s - start_s, product_id, price) for at_s, product_id, price in rows if start_s <= at_s < end_s]


def _ticks(where: Endpoint, ticks: list[tuple[str, float]]) -> bytes:
    body = {"ticks": [{"product_id": product_id, "price": price} for product_id, price in ticks]}
    headers = {"Accept-Encoding": "identity", **_control_headers(where.host_header)}
    return post(where, "/test/price_ticks", orjson.dumps(body), headers)


@cache
def _control_headers(host: str) -> dict[str, str]:
    """Looked up once: a stack keeps its token."""
    return control_headers(f"http://{host}")


def due_times_s(job: LoadJob, name: str) -> Any:
    """When the requests of a stream are due, of all workers: seconds from t0, in order."""
    scenario = resolved_of(job.scenario)
    if job.rate_per_s is None:
        starts = arrivals.stream_starts(scenario, name, window=job.window, scale=job.scale, seed=job.seed)
        return starts.offset_s
    rate_per_s = job.scenario["demand"]["background"][name]["peak_per_s"]["mid"] * job.scale
    starts = arrivals.constant_rate(rate_per_s, job.length_s, resolved=scenario, seed=job.seed, stream=name)
    return starts.offset_s


def _planner_query(job: LoadJob, where: Endpoint, draws: random.Random) -> Callable[[], bytes]:
    """A short chat completion to the planner: a search that is only classified."""
    stream = job.scenario["demand"]["background"]["planner_queries"]

    def build() -> bytes:
        words = " ".join(f"q{draws.randrange(10_000)}" for _ in range(max(1, stream["input_tokens"] // 3)))
        body = {
            "model": job.planner_model,
            "messages": [{"role": "user", "content": words}],
            "max_tokens": stream["output_tokens"],
        }
        return post(where, "/chat/completions", orjson.dumps(body), {"Accept-Encoding": "identity"})

    return build


def _price_tick(job: LoadJob, where: Endpoint, draws: random.Random) -> Callable[[], bytes]:
    """A price change of one of the most popular items: down by up to `drop_ratio`, or back to its list price."""
    stream = job.scenario["demand"]["background"]["price_ticks"]
    prices = list_prices(job.catalogue, stream["items"])

    def build() -> bytes:
        product_id, price = draws.choice(prices)
        drop_ratio = draws.random() * stream["drop_ratio"] * draws.randrange(2)
        return _ticks(where, [(product_id, round(price * (1 - drop_ratio), 2))])

    return build


def list_prices(catalogue: str | None, items: int) -> list[tuple[str, float]]:
    """The first items of the catalogue with their prices."""
    return _query(
        catalogue, "SELECT product_id, price FROM products ORDER BY review_count DESC, product_id LIMIT ?", items
    )


def _query(catalogue: str | None, text: str, *values: object) -> list[Any]:
    if catalogue is None:
        return []
    connection = sqlite3.connect(f"file:{catalogue}?mode=ro", uri=True)
    try:
        return connection.execute(text, values).fetchall()
    finally:
        connection.close()
