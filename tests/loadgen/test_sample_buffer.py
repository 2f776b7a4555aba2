"""Rows of remote workers become chunks like those of local ones, also where there is no local worker at all."""

import orjson

from loadgen.record import EVENTS, load_run, write_json
from loadgen.worker.sample_buffer import ChunkWriter, receive, remove_buffer


def test_rows_of_a_remote_worker_need_no_local_one(tmp_path):
    """The first report makes the buffer; the end removes it, and an end without a buffer is no error."""
    write_json(tmp_path / "run.json", {"schema": "peakday.run/1"})
    row = [{"stream": "planner_queries", "status": "ok"}.get(name) for name in EVENTS]
    receive(tmp_path, 0, {"events": orjson.dumps(row) + b"\n"})
    ChunkWriter(tmp_path).pump(0.0, 0.0, everything=True)
    remove_buffer(tmp_path)
    remove_buffer(tmp_path)
    assert load_run(tmp_path).events["stream"].tolist() == ["planner_queries"]
