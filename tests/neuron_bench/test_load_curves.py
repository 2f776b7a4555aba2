"""Published load tests: what they say, and what contradicts itself."""

from __future__ import annotations

from facts import reader
from neuron_bench.importers.load_curves import load_curve_rows
from neuron_bench.record import CaseRow

ROW = {
    "model": "m", "instance": "trn2.48xlarge", "chips_used": "1", "tp_degree": "4", "data_parallel_replicas": "1",
    "max_batch_size_per_replica": "32", "sequence_length": "4096", "prompt_tokens_mean": "1500",
    "output_tokens_mean": "250", "max_concurrency": "128", "load_mode": "synchronous", "requests_per_s": "0.2",
    "request_latency_mean_s": "5.19", "ttft_mean_ms": "210", "inter_token_latency_mean_ms": "20",
    "output_tokens_per_s": "50", "run_date": "2026-01-01", "config_note": "", "source_file": "f", "source_repo": "r",
}  # fmt: skip
LOADED = ROW | {"load_mode": "asynchronous@2.0 req/sec", "requests_per_s": "2", "output_tokens_per_s": "500"}


def public() -> list[CaseRow]:
    return load_curve_rows(reader.rows("neuron_load_curves.csv"))


def flagged(name: str) -> list[int]:
    """Lines of the public table that carry a flag."""
    return [int(row.record_id.removeprefix("line-")) for row in public() if name in row.flag_names]


def test_every_row_of_the_table_is_read() -> None:
    """All 50 rows become points; those without a configuration are flagged, not dropped."""
    assert len(public()) == 50
    assert flagged("configuration_unknown") == [29, 30, 31, 32, 33, 34]


def test_tokens_of_an_answer_agree_with_its_latency() -> None:
    """Output rate over request rate and (latency - TTFT) / gap are two counts of one thing: no row contradicts."""
    assert not flagged("tokens_disagree_with_latency")


def test_a_consistent_row_has_no_flag() -> None:
    """250 tokens at 20 ms after a 210 ms TTFT take 5.19 s."""
    (row,) = load_curve_rows([ROW])
    assert not row.flag_names
    assert row.ttft_s_mean == 0.21
    assert row.output_tokens == 250


def test_milliseconds_called_seconds_are_caught() -> None:
    """A gap printed in another unit disagrees with the latency."""
    (row,) = load_curve_rows([ROW | {"inter_token_latency_mean_ms": "0.02"}])
    assert "tokens_disagree_with_latency" in row.flag_names


def test_a_latency_below_its_own_ttft_is_caught() -> None:
    """No answer ends before it begins."""
    (row,) = load_curve_rows([ROW | {"request_latency_mean_s": "0.1"}])
    assert "latency_below_ttft" in row.flag_names


def test_a_lone_user_does_not_wait_longer_than_a_loaded_one() -> None:
    """Such a TTFT has warm-up in it, and the flag stays on the lone user's row."""
    one, loaded = load_curve_rows([ROW | {"ttft_mean_ms": "400"}, LOADED])
    assert "ttft_above_loaded" in one.flag_names
    assert "ttft_above_loaded" not in loaded.flag_names


def test_sampling_on_the_host_is_flagged() -> None:
    """The inf2 duplicates with CPU sampling run at half the rate of their twins."""
    assert flagged("host_sampling") == [44, 45, 48, 49]
