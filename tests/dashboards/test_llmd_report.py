"""A run as llm-d's benchmark report 0.2: what is exported comes back by our own importer."""

import json

import pytest

from dashboards.llmd_report import llmd_report, statistics
from neuron_bench.importers.load_tools import llmd_rows
from tests.capacity.runs import run


@pytest.fixture(scope="module")
def report():
    return json.loads(llmd_report(run(turns=60, model="custom", supply="self_hosted")))


def test_a_run_comes_back_as_one_row_with_its_requests(report):
    (row,) = llmd_rows(report)
    made = run(turns=60, model="custom", supply="self_hosted")
    assert row.n_samples == int((made.calls["status"] == "ok").sum())
    assert row.ttft_s_p50 == pytest.approx(float(made.calls["ttft_s"].median()))
    assert row.output_tokens == pytest.approx(float(made.calls["output_tokens"].mean()))
    assert "chip" not in json.dumps(report["scenario"])


def test_what_a_run_does_not_know_is_left_out(report):
    """No stack, no null."""
    assert "stack" not in report["scenario"]
    assert "null" not in json.dumps(report)
    assert statistics(run(turns=2).calls["ttft_s"].iloc[:0], "s") is None


def test_every_required_field_of_the_format_is_there(report):
    load = report["scenario"]["load"]
    assert set(load) == {"metadata", "standardized", "native"}
    assert {"tool", "tool_version", "source", "input_seq_len"} <= set(load["standardized"])
    assert load["standardized"]["source"] in ("random", "sampled", "unknown")
