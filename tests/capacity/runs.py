"""Run records for tests, in memory: the frames a run leaves, filled with what a test needs."""

from pathlib import Path

import numpy as np
import pandas as pd

from loadgen.record import Run, parse_info
from loadgen.tables import TABLES

DTYPES = {"str": "object", "int": "Int64", "float": "float64", "bool": "boolean"}


def frame(table, rows):
    """A frame with every column of the record's table."""
    data = pd.DataFrame(rows)
    columns = TABLES[table]
    return pd.DataFrame(
        {
            name: data[name] if name in data else pd.Series([None] * len(data), dtype=DTYPES[columns[name]])
            for name in columns
        }
    )


def run(
    turns=60, *, model="claude-sonnet", supply="bedrock", provenance="measured", state="finished", valid=True, **call
):
    """A run of two-turn interactions with one call each; `call` sets or replaces columns of its calls."""
    key = [{"session_id": f"s{i // 2}", "interaction_id": f"i{i // 2}", "turn_index": i % 2} for i in range(turns)]
    rng = np.random.default_rng(1)
    turn_rows = [
        k | {"status": "ok", "intent": "product_question", "intended_start_s": float(i), "start_lag_s": 0.001}
        for i, k in enumerate(key)
    ]
    tokens = {
        "input_tokens": 100, "cache_read_tokens": 2_400, "cache_write_tokens_5m": 300, "cache_write_tokens_1h": 0,
        "output_tokens": 180, "prefix_shared_tokens": 2_000, "prefix_customer_tokens": 2_300, "start_s": 0.1,
        "ttft_s": 0.5, "e2e_s": 3.0, "status": "ok", "model": model, "supply": supply,
    }  # fmt: skip
    call_rows = [k | tokens | call | {"output_tokens": int(rng.integers(100, 260))} for k in key]
    info = {
        "state": state,
        "started_utc": "2026-11-24T00:00:00+00:00",
        "verdict": {"valid": valid, "reasons": [] if valid else ["start lag p99 0.3 s"]},
        "provenance": {supply: provenance},
    }
    frames = {"turns": frame("turns", turn_rows), "calls": frame("calls", call_rows)}
    empty = {name: frame(name, []) for name in TABLES if name not in frames}
    return Run(path=Path("runs/r1"), info=parse_info(info), **frames, **empty)
