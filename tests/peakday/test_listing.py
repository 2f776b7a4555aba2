"""The records of a folder, newest first."""

import pytest

from capacity.plan import write_plan
from peakday.errors import CommandError
from peakday.records.listing import list_records
from tests.dashboards.plans import make_plan
from tests.dashboards.records import make_run


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_records_are_listed_newest_first_with_what_they_say(tmp_path):
    make_run(tmp_path / "runs/20260708-093015-smoke", 60)
    write_plan(make_plan(), tmp_path / "plans/20260708-093020-smoke")
    (tmp_path / "runs/20260708-093030-smoke").mkdir()
    (tmp_path / "runs/20260708-093030-smoke/run.json").write_text("{")
    text, data = list_records(None)
    assert [(row["kind"], row["id"], row["damaged"]) for row in data] == [
        ("runs", "20260708-093030-smoke", True),
        ("plans", "20260708-093020-smoke", False),
        ("runs", "20260708-093015-smoke", False),
    ]
    assert "VALID" in data[2]["says"]
    assert "for the event" in data[1]["says"]
    assert len(text.splitlines()) == 3
    assert [row["kind"] for row in list_records("plans")[1]] == ["plans"]
    assert "2 older" in list_records(None, 1)[0]


def test_an_empty_folder_says_what_makes_a_record():
    assert list_records("runs") == ("no runs here yet; `peakday demo` makes some", [])


def test_a_kind_that_is_none_is_refused_with_those_that_are():
    with pytest.raises(CommandError, match="expected one of runs, plans, benches"):
        list_records("plan")
