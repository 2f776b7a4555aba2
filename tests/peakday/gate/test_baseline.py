"""Baselines: versions that never change, one of them current, small, and clear about damage."""

import io
import json
from types import SimpleNamespace

import pytest

from peakday.consent import Consent
from peakday.console import Console
from peakday.errors import CommandError
from peakday.gate import baseline as baselines
from peakday.gate.baseline import BaselineError, Bucket, Folder, open_store, sketches
from tests.peakday.gate.making import row, run

DOCUMENT = {"exact": {"turns": 1}, "moments": [row()], "workload": "w", "runs": [], "host": {}}


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


def test_the_first_baseline_is_current_and_later_ones_wait_for_promotion(store):
    first = baselines.save(store, "smoke", DOCUMENT, "2026-11-23T10:00:00+00:00")
    second = baselines.save(store, "smoke", DOCUMENT, "2026-11-23T11:00:00+00:00")
    assert baselines.versions(store, "smoke") == [first, second]
    assert baselines.current(store, "smoke")["version"] == first
    baselines.promote(store, "smoke", second)
    assert baselines.current(store, "smoke")["version"] == second


def test_a_version_is_never_written_over(store):
    names = {baselines.save(store, "smoke", DOCUMENT, "2026-11-23T10:00:00+00:00") for _ in range(3)}
    assert len(names) == 3


def test_no_baseline_names_the_command_that_makes_one(store):
    with pytest.raises(BaselineError, match="peakday baseline save smoke"):
        baselines.current(store, "smoke")


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"{half", "damaged"),
        (b"[]", "damaged"),
        (b'{"schema": "peakday.baseline/9"}', "peakday.baseline/9"),
        (b'{"schema": "peakday.baseline/1", "exact": {}}', "moments, workload, runs is missing"),
    ],
)
def test_a_damaged_baseline_says_what_is_wrong(store, content, complaint):
    version = baselines.save(store, "smoke", DOCUMENT, "2026-11-23T10:00:00+00:00")
    store.write(f"smoke/{version}.json", content)
    with pytest.raises(BaselineError, match=complaint):
        baselines.current(store, "smoke")


def test_what_cannot_be_read_cannot_be_promoted(store):
    with pytest.raises(CommandError, match="no such baseline"):
        baselines.promote(store, "smoke", "20260101-000000")


def test_s3_is_not_touched_without_consent():
    """No client is made before the answer is yes."""
    with pytest.raises(CommandError, match="needs --live"):
        open_store("s3://bucket/prefix", Consent(), Console(quiet=True))


def test_a_sketch_keeps_the_shape_of_a_distribution_in_a_few_hundred_bytes():
    one = run([i / 1000 for i in range(1001)])
    kept = sketches([one])
    middle = kept["shares"].index(0.5)
    assert kept["metrics"]["ttft_s"]["values"][middle] == pytest.approx(0.5)
    assert len(json.dumps(kept)) < 1_000
