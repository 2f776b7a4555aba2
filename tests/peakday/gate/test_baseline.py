"""Baselines: versions that never change, one of them current, small, and clear about damage."""

import io
import json
from types import SimpleNamespace

import pytest

from peakday.consent import Consent
from peakday.console import Console
from peakday.errors import CommandError
from peakday.gate.baselines import baseline as baselines
from peakday.gate.baselines.baseline import BaselineError, Snapshot
from peakday.gate.baselines.store import Bucket, Folder, open_store
from tests.peakday.gate.making import row

SNAPSHOT = Snapshot("w", {"turns": 1, "input_tokens": 20}, (row(),), {"utc": "2026-11-23", "commit": "c0ffee"})
OLD = {
    "schema": "peakday.baseline/1", "created_utc": "2026-11-22", "commit": "c0ffee", "exact": {"turns": 1},
    "moments": [row()], "workload": "w", "runs": [{"load": "l", "ttft_s_p50": 0.5}], "host": {"cpu": "x"},
}  # fmt: skip


class FakeS3:
    """get_object, put_object and pages of a bucket in memory, as boto3 has them."""

    exceptions = SimpleNamespace(NoSuchKey=KeyError)

    def __init__(self):
        self.objects = {}

    def get_object(self, Bucket, Key):
        return {"Body": io.BytesIO(self.objects[Bucket, Key])}

    def put_object(self, Bucket, Key, Body, ContentType):
        assert ContentType == "application/json"
        self.objects[Bucket, Key] = Body

    def get_paginator(self, name):
        assert name == "list_objects_v2"
        return SimpleNamespace(paginate=self._pages)

    def _pages(self, Bucket, Prefix):
        keys = [key for bucket, key in self.objects if bucket == Bucket and key.startswith(Prefix)]
        yield from ({"Contents": [{"Key": key}]} for key in keys)
        yield {}


@pytest.fixture(params=["files", "s3"])
def store(request, tmp_path):
    """Both kinds of store: what holds for one holds for the other."""
    return Folder(tmp_path) if request.param == "files" else Bucket(FakeS3(), "bucket", "team/baselines/")


def test_what_is_saved_is_what_is_compared_with_and_replaced_in_place(store):
    baselines.save(store, "smoke", SNAPSHOT)
    baselines.save(store, "smoke", Snapshot("w", {"turns": 2}, ()))
    assert baselines.current(store, "smoke").figures == {"turns": 2}
    assert store.keys("smoke/") == ["smoke/exact.json"]


def test_a_changed_figure_is_a_diff_of_one_line(tmp_path):
    """A person reviews what was accepted: keys stand in a fixed order, each figure on a line of its own."""
    folder, texts = Folder(tmp_path), []
    for tokens in (20, 21):
        figures = {"turns": 1, "input_tokens": tokens} if tokens == 20 else {"input_tokens": tokens, "turns": 1}
        baselines.save(folder, "smoke", Snapshot("w", figures, SNAPSHOT.turns, SNAPSHOT.saved))
        texts.append((tmp_path / "smoke/exact.json").read_text().splitlines())
    changed = [pair for pair in zip(*texts, strict=True) if pair[0] != pair[1]]
    assert changed == [('  "input_tokens": 20,', '  "input_tokens": 21,')]
    assert json.loads("\n".join(texts[1]))["turns"] == [row()]


def test_no_baseline_names_the_command_that_makes_one(store):
    with pytest.raises(BaselineError, match="peakday baseline save smoke"):
        baselines.current(store, "smoke")


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"{half", "damaged"),
        (b"[]", "damaged"),
        (b'{"schema": "peakday.baseline/9"}', "peakday.baseline/9"),
        (b'{"schema": "peakday.baseline/2", "figures": {}}', "workload, turns is missing"),
    ],
)
def test_a_damaged_baseline_says_what_is_wrong(store, content, complaint):
    store.write("smoke/exact.json", content)
    with pytest.raises(BaselineError, match=complaint):
        baselines.current(store, "smoke")


def test_the_history_keeps_the_newest_runs_alone(store):
    assert baselines.add_runs(store, "smoke", [{"n": n} for n in range(50)]) == 50
    assert baselines.add_runs(store, "smoke", [{"n": n} for n in range(50, 70)]) == baselines.HISTORY_RUNS_MAX
    assert [run["n"] for run in baselines.history(store, "smoke")] == list(range(10, 70))


def test_a_baseline_of_an_earlier_peakday_is_read_and_can_be_promoted(store):
    """A file a version, and one that names the current one: its figures, its turns and its runs."""
    store.write("smoke/20261122-100000.json", json.dumps(OLD).encode())
    store.write("smoke/current.json", b'{"version": "20261122-100000"}')
    assert baselines.current(store, "smoke").figures == {"turns": 1}
    (run,) = baselines.history(store, "smoke")
    assert (run["ttft_s_p50"], run["workload"], run["host"]) == (0.5, "w", {"cpu": "x"})
    baselines.promote(store, "smoke", "20261122-100000")
    assert baselines.current(store, "smoke").saved["commit"] == "c0ffee"
    assert store.read("smoke/exact.json") is not None


def test_what_cannot_be_read_cannot_be_promoted(store):
    with pytest.raises(CommandError, match="no such baseline"):
        baselines.promote(store, "smoke", "20260101-000000")


def test_s3_is_not_touched_without_consent():
    """No client is made before the answer is yes."""
    with pytest.raises(CommandError, match="needs --live"):
        open_store("s3://bucket/prefix", Consent(), Console(quiet=True))
