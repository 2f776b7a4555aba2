"""Rows of remote workers become chunks like those of local ones, also where there is no local worker at all."""

import orjson

from loadgen.chunks import ChunkWriter, remove_buffer
from loadgen.record import load_run
from loadgen.run_info import write_json
from loadgen.tables import EVENTS
from loadgen.worker.sample_buffer import Receiver, RemoteSampleBuffer, receive


def test_rows_of_a_remote_worker_need_no_local_one(tmp_path):
    """The first report makes the buffer; the end removes it, and an end without a buffer is no error."""
    write_json(tmp_path / "run.json", {"schema": "peakday.run/1"})
    row = [{"stream": "planner_queries", "status": "ok"}.get(name) for name in EVENTS]
    receive(tmp_path, 0, {"events": orjson.dumps(row) + b"\n"})
    ChunkWriter(tmp_path).pump(0.0, 0.0, everything=True)
    remove_buffer(tmp_path)
    remove_buffer(tmp_path)
    assert load_run(tmp_path).events["stream"].tolist() == ["planner_queries"]


def _travel(buffer, receiver, *, arrives=True, last=False):
    """One report of worker 0: its batches arrive, and their acknowledgement; or neither does."""
    batches = buffer.take(everything=last)
    if arrives:
        buffer.acknowledged(receiver.take(0, batches))
    return [number for number, _ in batches]


def test_batches_that_a_broken_line_lost_travel_again_and_count_once(tmp_path):
    """Reports 2 and 3 are lost: batch 2 travels again with report 4, batch 3 with the last one, and 4 waits for it."""
    buffer, receiver = RemoteSampleBuffer(), Receiver(tmp_path)
    sent = []
    for report in (1, 2, 3, 4):
        buffer.add("events", [report])
        sent.append(_travel(buffer, receiver, arrives=report not in (2, 3)))
    assert sent == [[1], [2], [3], [2, 4]]
    assert buffer.waits
    assert _travel(buffer, receiver, last=True) == [3, 4]
    assert not buffer.waits
    lines = (tmp_path / ".samples" / "events-0.jsonl").read_bytes().splitlines()
    assert [orjson.loads(line) for line in lines] == [[1], [2], [3], [4]]


def test_a_batch_that_arrives_twice_is_kept_once(tmp_path):
    """Its acknowledgement was lost, not the batch."""
    receiver = Receiver(tmp_path)
    batch = (1, {"events": b"[1]\n"})
    assert [receiver.take(0, [batch]), receiver.take(0, [batch])] == [1, 1]
    assert (tmp_path / ".samples" / "events-0.jsonl").read_bytes() == b"[1]\n"
