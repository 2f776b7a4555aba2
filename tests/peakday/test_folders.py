"""Records are found by ID, path, `latest` and `latest~1`."""

from datetime import UTC, datetime

import pytest

from peakday.errors import CommandError
from peakday.records.folders import find_any, find_pair, find_record, new_folder

NOW = datetime(2026, 7, 8, 9, 30, 15, tzinfo=UTC)


def make(base, kind, name, file):
    folder = base / kind / name
    folder.mkdir(parents=True)
    (folder / file).write_text("{}")
    return folder


def test_latest_is_the_newest_complete_record(tmp_path):
    """A folder without its main file, or one being written, is no record."""
    make(tmp_path, "runs", "20260708-093015-smoke", "run.json")
    newer = make(tmp_path, "runs", "20260708-093016-smoke", "run.json")
    make(tmp_path, "runs", "20260709-000000-smoke", "turns-0-0000.parquet")
    make(tmp_path, "runs", ".20260710-000000-smoke.part", "run.json")
    assert find_record("runs", "latest", tmp_path) == newer
    assert find_record("runs", "latest~1", tmp_path).name == "20260708-093015-smoke"


def test_asking_for_more_than_there_is_names_the_command_that_makes_one(tmp_path):
    with pytest.raises(CommandError, match="`peakday run` makes one"):
        find_record("runs", "latest~3", tmp_path)


def test_an_id_or_a_path_names_a_record(tmp_path):
    folder = make(tmp_path, "plans", "20260708-093015-smoke", "plan.json")
    assert find_record("plans", folder.name, tmp_path) == folder
    assert find_record("plans", str(folder), tmp_path) == folder


def test_latest_of_any_kind_is_the_newest_of_all(tmp_path):
    make(tmp_path, "runs", "20260708-093015-smoke", "run.json")
    plan = make(tmp_path, "plans", "20260708-093020-smoke", "plan.json")
    assert find_any("latest", tmp_path) == ("plans", plan)


def test_the_one_before_is_of_the_same_kind(tmp_path):
    old = make(tmp_path, "plans", "20260708-093000-smoke", "plan.json")
    make(tmp_path, "runs", "20260708-093015-smoke", "run.json")
    make(tmp_path, "plans", "20260708-093020-smoke", "plan.json")
    assert find_any("latest~1", tmp_path) == ("plans", old)


def test_two_to_compare_are_of_the_newest_kind_that_has_both(tmp_path):
    runs = [make(tmp_path, "runs", f"20260708-09301{k}-smoke", "run.json") for k in range(3)]
    plan = make(tmp_path, "plans", "20260708-093020-smoke", "plan.json")
    assert find_pair("latest~1", "latest", tmp_path) == (("runs", runs[1]), ("runs", runs[2]))
    assert find_pair("latest~2", runs[2].name, tmp_path) == (("runs", runs[0]), ("runs", runs[2]))
    assert find_pair(plan.name, "latest", tmp_path) == (("plans", plan), ("plans", plan))


def test_latest_where_nothing_is_names_the_command_that_makes_one(tmp_path):
    for name in ("latest", "latest~1"):
        with pytest.raises(CommandError, match="there is no record here; `peakday run` makes one"):
            find_any(name, tmp_path)
    with pytest.raises(CommandError, match="no record here"):
        find_pair("latest~1", "latest", tmp_path)


def test_two_records_of_one_second_have_two_names(tmp_path):
    first = new_folder("runs", "smoke", NOW, tmp_path)
    first.mkdir(parents=True)
    assert new_folder("runs", "smoke", NOW, tmp_path) != first
