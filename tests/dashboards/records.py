"""Synthetic records with the shape of real ones: a peak with a throttling fault, written as loadgen writes it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from loadgen.chunks import write_chunk
from loadgen.record import Run, load_run
from loadgen.run_info import SCHEMA, write_json
from loadgen.tables import CALLS, EVENTS, GENERATOR, SERVER, TOOLS, TURNS
from slo.quantiles import quantile

INTENTS = ("product_search", "product_question", "comparison", "order_status", "reorder", "price_history")
ROUTES = ("custom-8b", "nova-pro", "claude-sonnet")
WINDOW_S = 120.0
FAULT = {"kind": "throttle", "at_s": 70.0, "length_s": 15.0, "ratio": 0.4, "model": "claude-sonnet", "region": None}


def make_run(folder: Path, turns: int = 2_400, *, seed: int = 1, valid: bool = True, finished: bool = True) -> Run:
    """A run record of `turns` turns over two minutes with a throttling fault from 70 s to 85 s."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    table = _turns(turns, rng)
    write_chunk(folder, "turns-0-0000.parquet", "turns", table)
    calls = _calls(table, rng)
    write_chunk(folder, "calls-0-0000.parquet", "calls", calls)
    write_chunk(folder, "tools-0-0000.parquet", "tools", _tools(table, rng))
    write_chunk(folder, "events-0-0000.parquet", "events", {name: [] for name in EVENTS})
    write_chunk(folder, "generator.parquet", "generator", _generator(table, rng))
    write_chunk(folder, "server.parquet", "server", _server(rng))
    write_json(folder / "run.json", _info(folder.name, table, calls, valid=valid, finished=finished, seed=seed))
    return load_run(folder)


def _turns(n: int, rng: np.random.Generator) -> dict[str, Any]:
    start = np.sort(rng.uniform(0, WINDOW_S, n))
    route = rng.choice(ROUTES, n, p=(0.55, 0.25, 0.2))
    base = np.select([route == "custom-8b", route == "nova-pro"], [0.28, 0.45], 0.75)
    load = 1 + 0.8 * np.exp(-(((start - 60) / 18) ** 2))
    ttft = base * load * rng.lognormal(0, 0.35, n)
    tokens = rng.poisson(150, n) + 20
    tpot = 0.008 * load * rng.lognormal(0, 0.15, n)
    status, code = np.full(n, "ok", dtype=object), np.full(n, None, dtype=object)
    hit = (start > 70) & (start < 85) & (route == "claude-sonnet") & (rng.random(n) < 0.4)
    status[hit], code[hit] = "throttled", "429_quota"
    gone = (status == "ok") & (ttft > 2.2)
    status[gone], code[gone] = "abandoned", None
    broken = (status == "ok") & (rng.random(n) < 0.002)
    status[broken], code[broken] = "stream_error", "cut"
    bad = status != "ok"
    ttft_seen = np.where(bad, np.nan, ttft)
    e2e = np.where(gone, 2.2, np.where(bad, np.nan, ttft + tpot * tokens))
    lag = np.abs(rng.normal(0, 0.0004, n))
    session = np.arange(n) // 3
    turn_index = np.arange(n) % 3
    table: dict[str, Any] = dict.fromkeys(TURNS)
    table |= {
        "customer_id": [f"h{s % 500:04x}" for s in session],
        "session_id": [f"s{s:07d}" for s in session],
        "interaction_id": [f"i{s:07d}" for s in session],
        "turn_index": turn_index,
        "trace_id": [f"{i:032x}" for i in range(n)],
        "intent": rng.choice(INTENTS, n, p=(0.3, 0.2, 0.15, 0.15, 0.1, 0.1)),
        "complexity": np.where(route == "claude-sonnet", "complex", "simple"),
        "region": rng.choice(("us-east-1", "us-west-2"), n, p=(0.6, 0.4)),
        "route": route,
        "route_s": rng.lognormal(-6.2, 0.4, n),
        "prefetch_s": rng.lognormal(-5, 0.4, n),
        "guard_action": np.full(n, "allow"),
        "escalated": rng.random(n) < 0.03,
        "intended_start_s": start,
        "start_lag_s": lag,
        "ttfb_s": ttft_seen * 0.2,
        "ttft_s": ttft_seen,
        "e2e_s": e2e,
        "ttft_from_send_s": ttft_seen - lag,
        "e2e_from_send_s": e2e - lag,
        "tpot_s": np.where(bad, np.nan, tpot),
        "gap_s_max": np.where(bad, np.nan, tpot * rng.uniform(3, 9, n)),
        "chunks": np.where(bad, 0, tokens),
        "output_tokens": np.where(bad, 0, tokens),
        "status": status,
        "error_code": code,
        "cost_usd": np.where(bad, 0.0, np.select([route == "custom-8b", route == "nova-pro"], [0, 0.0012], 0.0061)),
        "began_before": [False] * n,
    }
    return {name: _nullable(column) for name, column in table.items()}


def _nullable(column: Any) -> Any:
    """NaN as null, as loadgen writes it."""
    if isinstance(column, np.ndarray) and column.dtype.kind == "f":
        return [None if value != value else float(value) for value in column]
    return column


def _calls(turns: dict[str, Any], rng: np.random.Generator) -> dict[str, Any]:
    """Two calls a turn: a tool round, then the answer. The cache warms over the first 20 s."""
    n = len(turns["session_id"])
    start = np.asarray(turns["intended_start_s"], dtype=float)
    twice = np.repeat(np.arange(n), 2)
    second = np.tile([False, True], n)
    route = np.asarray(turns["route"])[twice]
    warm = rng.random(2 * n) < np.clip(start[twice] / 20, 0.05, 0.96)
    deeper = warm & (rng.random(2 * n) < 0.6)
    shared, customer, history = 2_400, 2_700, 300 * (np.asarray(turns["turn_index"])[twice] + 1)
    read = np.where(deeper, customer + history * 0.7, np.where(warm, shared, 0)).astype(int)
    total = customer + history + np.where(second, 450, 0)
    ttft = [None if value is None else value for value in np.asarray(turns["ttft_s"], dtype=object)[twice]]
    ends = np.asarray(turns["e2e_s"], dtype=object)[twice]
    self_hosted = route == "custom-8b"
    columns: dict[str, Any] = dict.fromkeys(CALLS)
    columns |= {key: np.asarray(turns[key], dtype=object)[twice] for key in ("session_id", "interaction_id")}
    columns |= {
        "turn_index": np.asarray(turns["turn_index"])[twice],
        "call_index": second.astype(int),
        "start_s": np.where(second, 0.22, 0.02),
        "timed_by": np.full(2 * n, "assistant"),
        "status": np.full(2 * n, "ok"),
        "purpose": np.where(second, "answer", "tool_round"),
        "model": route,
        "supply": np.where(self_hosted, "self_hosted", "bedrock"),
        "endpoint": np.full(2 * n, "http://127.0.0.1:9"),
        "region": np.asarray(turns["region"])[twice],
        "max_tokens": np.full(2 * n, 1024),
        "prefix_hash": np.full(2 * n, "abc"),
        "prefix_shared_tokens": np.full(2 * n, shared),
        "prefix_customer_tokens": np.full(2 * n, customer),
        "input_tokens": total - read - np.where(warm, 0, 300),
        "cache_read_tokens": read,
        "cache_write_tokens_5m": np.where(warm, 0, 300),
        "cache_write_tokens_1h": np.zeros(2 * n, dtype=int),
        "output_tokens": np.where(second, 150, 30),
        "ttft_s": [None if value is None else value * 0.45 for value in ttft],
        "tpot_s": np.full(2 * n, 0.008),
        "e2e_s": [
            0.19 if not late else max((whole or 0.0) - 0.23, 0.2) for late, whole in zip(second, ends, strict=True)
        ],
        "attempts": np.ones(2 * n, dtype=int),
        "error_code": np.full(2 * n, None, dtype=object),
        "tier_requested": np.full(2 * n, "default"),
        "tier_resolved": np.full(2 * n, "default"),
        "latency_mode": np.full(2 * n, "standard"),
        "stop_reason": np.where(second, "end_turn", "tool_use"),
        "cost_usd": [
            None if own else float(c) for own, c in zip(self_hosted, rng.lognormal(-6.5, 0.3, 2 * n), strict=True)
        ],
    }
    return columns


def _tools(turns: dict[str, Any], rng: np.random.Generator) -> dict[str, Any]:
    n = len(turns["session_id"])
    columns: dict[str, Any] = dict.fromkeys(TOOLS)
    columns |= {key: turns[key] for key in ("session_id", "interaction_id", "turn_index")}
    return columns | {
        "tool": rng.choice(("catalogue_search", "product_details", "order_history"), n),
        "start_s": np.full(n, 0.2),
        "duration_s": rng.lognormal(-4.5, 0.5, n),
        "status": np.full(n, "ok"),
    }


def _generator(turns: dict[str, Any], rng: np.random.Generator) -> dict[str, Any]:
    start = np.asarray(turns["intended_start_s"], dtype=float)
    seconds = int(WINDOW_S) + 6
    rows: dict[str, list[Any]] = {name: [] for name in GENERATOR}
    for worker in range(2):
        asked = np.bincount(start[worker::2].astype(int), minlength=seconds)
        completed = np.concatenate(([0, 0], asked[:-2]))
        flying = np.cumsum(asked - completed)
        for second in range(seconds):
            values = (
                worker,
                second,
                int(asked[second]),
                int(asked[second]),
                int(completed[second]),
                int(flying[second]),
                float(rng.exponential(0.0006)),
                float(rng.exponential(0.0009)),
                float(rng.uniform(0.1, 0.35)),
            )
            for name, value in zip(GENERATOR, values, strict=True):
                rows[name].append(value)
    return rows


def _server(rng: np.random.Generator) -> dict[str, Any]:
    rows: dict[str, list[Any]] = {name: [] for name in SERVER}
    for second in range(0, int(WINDOW_S), 2):
        for metric, scale in (("vllm:num_requests_running", 18.0), ("vllm:kv_cache_usage_perc", 0.4)):
            values = (
                float(second),
                "http://127.0.0.1:9",
                metric,
                '{"model_name":"custom-8b"}',
                scale * rng.uniform(0.5, 1),
            )
            for name, value in zip(SERVER, values, strict=True):
                rows[name].append(value)
    return rows


def _info(
    name: str, turns: dict[str, Any], calls: dict[str, Any], *, valid: bool, finished: bool, seed: int
) -> dict[str, Any]:
    status = np.asarray(turns["status"])
    n, ok, gone = len(status), int((status == "ok").sum()), int((status == "abandoned").sum())
    read, total = sum(map(int, calls["cache_read_tokens"])), 0
    total = sum(
        int(a) + int(b) + int(c)
        for a, b, c in zip(
            calls["input_tokens"], calls["cache_read_tokens"], calls["cache_write_tokens_5m"], strict=True
        )
    )
    cost = float(sum(value or 0 for value in calls["cost_usd"]))
    interactions = len(set(turns["interaction_id"]))
    info: dict[str, Any] = {
        "schema": SCHEMA,
        "run_id": name,
        "state": "finished" if finished else "running",
        "peakday_version": "0.1.0",
        "started_utc": "2026-11-23T09:40:00Z",
        "finished_utc": "2026-11-23T09:42:06Z",
        "scenario": {
            "name": "smoke",
            "hash": "5b0c3a9d1e2f4455",
            "resolved": {"slo": {"ttft_s_p50": 0.6, "ttft_s_p95": 1.5, "e2e_s_p95": 4.0}, "faults": [FAULT]},
        },
        "seed": seed,
        "targets": [{"kind": "assistant", "url": "http://127.0.0.1:41234", "region": None, "model": None}],
        "window": [0.0, WINDOW_S],
        "scale": 1.0,
        "rate": None,
        "command": ["peakday", "run", "smoke"],
        "host": {"cores": 2, "python": "3.11.2", "platform": "Linux"},
        "commit": "dcd92da",
        "clock": {"0": {"pid": 1, "host": "here", "clock_offset_s": 0.0, "clock_half_width_s": 0.0}},
        "processes": 2,
        "verdict": {
            "valid": valid,
            "reasons": []
            if valid
            else ["start lag p99 0.34 s is over 5 ms: the generator fell behind; add --processes or lower the rate"],
        },
        "provenance": {"claude-sonnet": "simulated", "custom-8b": "simulated", "nova-pro": "simulated"},
        "totals": {
            "asked": n,
            "sent": n,
            "completed": ok,
            "failed": n - ok - gone,
            "abandoned": gone,
            "censored": 0,
            "dropped": 0,
            "interactions": interactions,
            "achieved_rate_per_s": n / WINDOW_S,
            "goodput_per_s": 0.96 * ok / WINDOW_S,
            "error_ratio": (n - ok - gone) / n,
            "turns_per_interaction": {"mean": n / interactions, "p50": 3.0, "p95": 3.0},
            "repeat_customer_ratio": 0.38,
            "abandoned_ratio": float((status == "abandoned").mean()),
            "routes": {route: float((np.asarray(turns["route"]) == route).mean()) for route in ROUTES},
            "cost_usd": cost,
            "cost_usd_per_interaction": cost / interactions,
            "cost_usd_per_turn": cost / n,
            "cache_hit_token_ratio": {"all": read / total, "shared": 0.9, "customer": 0.5, "conversation": 0.3},
        },
        "quantiles": {
            metric: _metric(turns, metric) for metric in ("ttft_s", "e2e_s", "tpot_s", "start_lag_s", "route_s")
        },
        "what_broke_first": [
            _crossing("quota of claude-sonnet", 70.0, 40, 0, "claude-sonnet answered 429 (quota) to 40% of its calls"),
            _crossing("SLO ttft_s_p95", 72.0, 1.6, 1.5, "TTFT p95 passed its SLO of 1.5 s"),
        ],
        "faults": [
            {
                "kind": FAULT["kind"],
                "model": FAULT["model"],
                "region": None,
                "ratio": FAULT["ratio"],
                "start_s": FAULT["at_s"],
                "end_s": FAULT["at_s"] + FAULT["length_s"],
            }
        ],
        "batch_means": {
            "ttft_s": {"p50": {"value": 0.42, "lo": 0.39, "hi": 0.45, "batches": 10}, "p95": None, "p99": None}
        },
        "steady_state": {"steady": False, "sentence": "no steady state: TTFT p50 moved by +31% over the window"},
        "littles_law": {
            "in_flight_mean": 4.02,
            "rate_per_s": n / WINDOW_S,
            "rate_times_time": 4.05,
            "holds": True,
            "sentence": "Little's law: 4.02 turns in flight counted, 4.05 by rate times time",
        },
        "stand_ins": {"lateness_s_p99": 0.001},
        "warnings": [],
        "skipped": [],
    }
    if not finished:
        for key in ("verdict", "totals", "quantiles", "what_broke_first", "finished_utc"):
            del info[key]
    return info


def _crossing(what: str, at_s: float, value: float, limit: float, sentence: str) -> dict[str, Any]:
    return {"what": what, "at_s": at_s, "value": value, "limit": limit, "sentence": sentence, "rate_per_s": 20.0}


def _metric(turns: dict[str, Any], metric: str) -> dict[str, dict[str, Any]]:
    status = np.asarray(turns["status"])
    values = np.asarray(turns[metric], dtype=float)
    waited = np.asarray(turns["e2e_s"], dtype=float)
    gone = (status == "abandoned") & (np.isnan(values) | (metric == "e2e_s"))
    values = np.where(gone, waited, values)
    counts = np.isfinite(values) & ((status == "ok") | gone)
    return {
        name: vars(quantile(values[counts], gone[counts], int(name[1:]) / 100)) for name in ("p50", "p90", "p95", "p99")
    }
