"""Public logs, read as they are: exact numbers that their own pages state."""

import tracemalloc

import numpy as np
import pytest

from scenarios.errors import ScenarioError
from scenarios.traces.arrivals import read_replay, survey
from scenarios.traces.detection import detect, rows

FILES = {
    "azure_llm_2023_code.csv.gz": "csv",
    "mooncake_conversation_min00-30.jsonl.gz": "mooncake",
    "mooncake_synthetic.jsonl.gz": "mooncake",
    "ragpulse/trace_days0-3.jsonl.gz": "ragpulse",
    "agentic_sessions_a.jsonl.gz": "agentic",
    "worldcup98_per_minute_apr30-jun21.csv.gz": "counts",
    "nab_elb_request_count_8c0756.csv.gz": "counts",
}


def hit_ratios(path, by_tokens=False):
    """Share of prefix blocks seen before, with an infinite cache; sessions that share no ids are apart."""
    seen, hits, total = set(), 0, 0
    apart = detect(path) == "agentic"
    for row in rows(path):
        chain, unbroken = (row.session if apart else None,), True
        weights = row.block_tokens if by_tokens else (1,) * len(row.block_ids)
        for block, weight in zip(row.block_ids, weights, strict=True):
            chain = hash((chain, block))
            unbroken = unbroken and chain in seen
            seen.add(chain)
            hits += weight * unbroken
            total += weight
    return hits / total


@pytest.mark.parametrize(("name", "kind"), FILES.items())
def test_the_format_is_told_by_the_first_line(traces, name, kind):
    """No flag is needed to say what a file is."""
    assert detect(traces / name) == kind


def test_mooncake_times_are_milliseconds_in_batches(traces):
    """Half an hour, 5,719 requests; the reader warns that they come in batches of some 3 s."""
    replay = read_replay(traces / "mooncake_conversation_min00-30.jsonl.gz")
    assert len(replay) == 5719
    assert replay.offset_s[-1] == pytest.approx(1800, abs=5)
    assert np.median(replay.input_tokens) == 7640
    assert "batches some 3.0 s apart" in replay.warnings[0]


def test_an_even_log_raises_no_doubt(traces):
    """The synthetic Mooncake trace is Poisson: no warning."""
    replay = read_replay(traces / "mooncake_synthetic.jsonl.gz")
    assert (len(replay), replay.warnings) == (3993, ())


def test_ragpulse_is_sorted_with_a_warning(traces):
    """Its rows are not in time order: sorted, counted from the earliest, and said."""
    replay = read_replay(traces / "ragpulse" / "trace_days0-3.jsonl.gz")
    assert len(replay) == 4354
    assert replay.offset_s[0] == 0
    assert (np.diff(replay.offset_s) >= 0).all()
    assert "1 rows are earlier" in replay.warnings[0]


@pytest.mark.parametrize(
    ("name", "by_tokens", "ratio"),
    [
        ("mooncake_conversation_min00-30.jsonl.gz", False, 0.340903),
        ("mooncake_synthetic.jsonl.gz", False, 0.639604),
        ("ragpulse/trace_days0-3.jsonl.gz", True, 0.316367),
        ("agentic_sessions_a.jsonl.gz", False, 0.955269),
    ],
)
def test_prefix_blocks_give_the_known_hit_ratio(traces, name, by_tokens, ratio):
    """With an infinite cache the share of blocks (RAGPulse: tokens) already seen is the published one."""
    assert hit_ratios(traces / name, by_tokens) == pytest.approx(ratio, abs=1e-6)


def test_sessions_without_a_clock_give_no_arrivals(traces):
    """The agentic sessions each start at zero: refused as arrivals, with what they are good for."""
    with pytest.raises(ScenarioError, match="use it for prefix blocks"):
        read_replay(traces / "agentic_sessions_a.jsonl.gz")


def test_counts_give_no_single_arrivals(traces):
    """Counts per minute are a shape."""
    with pytest.raises(ScenarioError, match="shape of kind trace"):
        survey(traces / "worldcup98_per_minute_apr30-jun21.csv.gz")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"timestamp": 1, "input_length": 5\n', "line 1: no JSON"),
        ('{"a": 1}\n', "no known form"),
        ('{"timestamp": 1, "input_length": 5, "output_length": 1, "hash_ids": ["x"]}\n', "hash_ids are no list"),
        ('{"timestamp": 1, "input_length": -5, "output_length": 1}\n', "input_length is -5"),
        ('{"timestamp": "soon", "input_length": 5, "output_length": 1}\n', "expected ISO time or seconds"),
        ('{"timestamp": 1, "input_length": 5, "output_length": 1}\n[1]\n', "line 2: expected a JSON object"),
    ],
)
def test_a_bad_line_is_named(tmp_path, text, words):
    """One line of message with the line of the file."""
    path = tmp_path / "log.jsonl"
    path.write_text(text)
    with pytest.raises(ScenarioError, match=words):
        survey(path)


def test_a_column_of_milliseconds_says_so(tmp_path):
    """timestamp_ms is read as thousandths."""
    path = tmp_path / "log.csv"
    path.write_text("timestamp_ms\n1700000000000\n1700000001500\n")
    assert read_replay(path).offset_s.tolist() == [0.0, 1.5]


def test_memory_does_not_grow_with_the_log(tmp_path):
    """A pass over ten times the rows peaks at the same memory, to a tenth."""

    def peak(count):
        path = tmp_path / f"{count}.csv"
        path.write_text("timestamp,input_tokens\n" + "".join(f"{i / 10},{i % 900}\n" for i in range(count)))
        tracemalloc.start()
        try:
            assert survey(path).rows == count
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(1000)  # first use fills caches
    assert peak(20_000) < 1.1 * peak(2_000) + 20_000
