"""A run record of any size, made of copies of a small one: every copy has sessions, times and traces of its own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from loadgen.record import arrow_schema, read_document
from loadgen.run_info import write_json
from tests.dashboards.records import WINDOW_S, make_run

SMALL_TURNS = 2_400
CHUNK_TURNS = 240_000
"""Turns of one Parquet file: a load worker writes many times before it has as many."""


def make_large_run(folder: Path, turns: int) -> Path:
    """A finished record of at least so many turns, with two calls and a tool each as `make_run` has them."""
    small = make_run(folder.parent / f"{folder.name}-small", SMALL_TURNS)
    folder.mkdir(parents=True)
    copies = CHUNK_TURNS // SMALL_TURNS
    for number in range(-(-turns // CHUNK_TURNS)):
        for table in ("turns", "calls", "tools"):
            one = pq.read_table(small.path / f"{table}-0-0000.parquet")
            many = _varied(_renamed(pa.concat_tables([one] * copies), len(one), number * copies), number)
            pq.write_table(
                many.cast(arrow_schema(table)), folder / f"{table}-0-{number:04d}.parquet", compression="zstd"
            )
    for name in ("generator.parquet", "server.parquet"):
        (folder / name).write_bytes((small.path / name).read_bytes())
    write_json(folder / "run.json", read_document(small.path))
    return folder


def _renamed(table: pa.Table, size: int, first: int) -> pa.Table:
    """Copies of a table of `size` rows, numbered from `first`: each number is in its ids, and moves its times."""
    number = np.arange(len(table)) // size + first
    text = pc.cast(pa.array(number), pa.string())
    for name in ("session_id", "interaction_id", "trace_id"):
        if name in table.column_names:
            column = pc.binary_join_element_wise(table[name], text, "-")
            table = table.set_column(table.column_names.index(name), name, column)
    if "intended_start_s" in table.column_names:
        starts = table["intended_start_s"].to_numpy() + number * WINDOW_S
        table = table.set_column(table.column_names.index("intended_start_s"), "intended_start_s", pa.array(starts))
    return table


def _varied(table: pa.Table, seed: int) -> pa.Table:
    """Every time of a row times one draw near 1, so that copies are no easier to store or to sort than turns are."""
    factor = pa.array(np.random.default_rng(seed).uniform(0.8, 1.25, len(table)))
    for place, field in enumerate(table.schema):
        if pa.types.is_floating(field.type) and field.name != "intended_start_s":
            table = table.set_column(place, field.name, pc.multiply(table[field.name], factor))
    return table
