"""Files that the tools themselves wrote, of a few requests to the emulator: what they say is what we read.

AIPerf 0.13.0, 2026-11-29, `aiperf profile --streaming --request-count 12` with three clients (`aiperf_closed`), at four
requests a second (`aiperf_open`), and with a tokenizer that is not the server's (`aiperf_tokenizer`). GuideLLM 0.8.1,
2026-11-29, eight requests of two clients (`guidellm_concurrent.json`) and at three a second (`guidellm_constant.json`).
Folders' names and the list of requests are taken out.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from neuron_bench.importers.files import Known, import_file
from neuron_bench.record import CaseRow, load_bench

DATA = Path(__file__).parent / "data"
REPORT, RECORDS = "profile_export_aiperf.json", "profile_export.jsonl"


def imported(file: Path, folder: Path) -> CaseRow:
    (row,) = load_bench(import_file(file, folder / "bench", Known(model_id="custom-8b", chip="h200"))).rows
    return row


def lines(kind: str) -> list[dict[str, float]]:
    """Milliseconds and tokens of every request, as AIPerf wrote them."""
    records = [json.loads(line)["metrics"] for line in (DATA / kind / RECORDS).read_text().splitlines()]
    names = ("time_to_first_token", "request_latency", "output_sequence_length")
    return [{name: record[name]["value"] for name in names} for record in records]


@pytest.mark.parametrize("file", [REPORT, RECORDS])
@pytest.mark.parametrize(("kind", "load"), [("aiperf_closed", (3, None)), ("aiperf_open", (None, 4.0))])
def test_aiperfs_own_files_are_read_as_they_say(kind: str, load: tuple[float, float], file: str, tmp_path: Path):
    """Means and medians are those of its twelve lines, in seconds; three clients, or four a second; nothing flagged."""
    row, of_lines = imported(DATA / kind / file, tmp_path), lines(kind)
    first_ms = [line["time_to_first_token"] for line in of_lines]
    assert (row.n_samples, row.input_tokens, row.output_tokens) == (12, 16, 24)
    assert row.ttft_s_mean == pytest.approx(np.mean(first_ms) / 1e3)
    assert row.ttft_s_p50 == pytest.approx(np.median(first_ms) / 1e3)
    gaps_ms = [(line["request_latency"] - line["time_to_first_token"]) / 23 for line in of_lines]
    assert row.tpot_s_mean == pytest.approx(np.mean(gaps_ms) / 1e3)
    assert row.concurrency == load[0]
    assert row.arrival_rate_per_s == (load[1] and pytest.approx(load[1], rel=0.1))
    assert not row.flags


@pytest.mark.parametrize("file", [REPORT, RECORDS])
def test_a_tokenizer_that_is_not_the_servers_bars_the_row(file: str, tmp_path: Path):
    """It counted 96 tokens of every answer where the server's usage says 24: gaps of a quarter, never fitted."""
    row = imported(DATA / "aiperf_tokenizer" / file, tmp_path)
    assert row.flag_names == {"token_counts_differ"}
    assert row.barred


@pytest.mark.parametrize(("kind", "load"), [("concurrent", (2, None)), ("constant", (None, 3.0))])
def test_guidellms_own_files_are_read_as_they_say(kind: str, load: tuple[float, float], tmp_path: Path):
    """Seconds of its milliseconds. The most that an open loop may have in flight (10,240) is no number of clients."""
    file = DATA / f"guidellm_{kind}.json"
    row, metrics = imported(file, tmp_path), json.loads(file.read_text())["benchmarks"][0]["metrics"]
    assert (row.n_samples, row.input_tokens, row.output_tokens) == (8, 16, 16)
    assert row.ttft_s_mean == pytest.approx(metrics["time_to_first_token_ms"]["successful"]["mean"] / 1e3)
    assert row.tpot_s_p50 == pytest.approx(metrics["inter_token_latency_ms"]["successful"]["median"] / 1e3)
    assert (row.concurrency, row.arrival_rate_per_s) == load
    assert not row.flags
