"""Real services' logs come back as they were: times, lengths and order."""

import numpy as np
import pytest

from scenarios.arrivals import read_replay
from scenarios.errors import ScenarioError


def csv(folder, text):
    path = folder / "log.csv"
    path.write_text(text)
    return path


def test_five_minutes_of_a_production_service(traces):
    """The window counts from the first row: 781 requests with their token lengths."""
    replay = read_replay(traces / "azure_llm_2023_code.csv.gz", (0.0, 300.0))
    assert len(replay) == 781
    assert replay.input_tokens[0] == 4808
    assert replay.output_tokens[0] == 10
    assert replay.offset_s[1] == pytest.approx(0.052, abs=1e-3)


def test_an_hour_of_a_production_service(traces):
    """All rows of the hour, with the CV of gaps that the file is known for."""
    replay = read_replay(traces / "azure_llm_2023_code.csv.gz")
    gaps = np.diff(replay.offset_s)
    assert len(replay) == 8819
    assert gaps.std() / gaps.mean() == pytest.approx(13.2, abs=0.05)


def test_a_window_starts_its_own_clock(tmp_path):
    """Offsets count from the window's start, its end excluded."""
    path = csv(tmp_path, "timestamp,input_tokens\n100,1\n110.5,2\n120,3\n")
    replay = read_replay(path, (10.0, 20.0))
    assert replay.offset_s.tolist() == [0.5]
    assert replay.input_tokens.tolist() == [2]
    assert replay.output_tokens is None


def test_rows_out_of_order_are_sorted_with_a_warning(tmp_path):
    """A log that is not in time order is mended, and says so."""
    replay = read_replay(csv(tmp_path, "timestamp,input_tokens\n5,1\n9,2\n7,3\n"))
    assert replay.input_tokens.tolist() == [1, 3, 2]
    assert "sorted by time" in replay.warnings[0]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("when,what\n1,2\n", "no column of times"),
        ("timestamp\nyesterday\n", "line 2: timestamp is 'yesterday'"),
        ("timestamp\nnan\n", "line 2: timestamp is 'nan'"),
        ("timestamp,input_tokens\n1,-5\n", "line 2: input_tokens is '-5'"),
        ("timestamp,input_tokens\n1,2.5\n", "expected a whole number"),
        ("timestamp,input_tokens\n1\n", "line 2: 1 of 2 cells"),
        ("timestamp\n", "no rows"),
        ("", "empty; give a log"),
    ],
)
def test_a_log_that_cannot_be_read_names_line_and_cell(tmp_path, text, words):
    """One line with the file, the line and what was expected."""
    with pytest.raises(ScenarioError, match=words) as caught:
        read_replay(csv(tmp_path, text))
    assert "\n" not in str(caught.value)


def test_a_missing_or_damaged_file_is_one_line(tmp_path):
    """No such file, a folder, a device without end; a gzip that is cut off."""
    for path in (tmp_path / "nowhere.csv", tmp_path, "/dev/zero"):
        with pytest.raises(ScenarioError, match=r"no such file|no regular file"):
            read_replay(path)
    damaged = tmp_path / "log.csv.gz"
    damaged.write_bytes(b"\x1f\x8b\x08\x00garbage")
    with pytest.raises(ScenarioError, match="cannot be unpacked"):
        read_replay(damaged)
