"""A scenario from a trace: what was put into a trace comes out, and what it does not show is said."""

import json

import numpy as np
import pytest

from peakday.errors import CommandError
from peakday.previews import fit_files
from scenarios.loading import load_scenario
from scenarios.profile.back_test import back_test
from scenarios.profile.figures import burstiness, profile
from scenarios.profile.prefixes import measure_prefixes
from scenarios.traces.sessions import read_trace

SESSIONS = 600


@pytest.fixture(scope="module")
def trace_file(tmp_path_factory):
    """600 sessions in an hour, gaps of CV 2; three turns each, 10 s of thought (CV 0.8), two calls, 3 s of tools."""
    rng = np.random.default_rng(5)
    shape = 1 / 2.0**2
    at_s = np.cumsum(rng.gamma(shape, 6.0 / shape, SESSIONS))
    path = tmp_path_factory.mktemp("trace") / "calls.jsonl"
    with path.open("w") as file:
        for number, start in enumerate(at_s):
            now, prompt = float(start), 1000
            for turn in range(3):
                now += float(10 * np.exp(np.sqrt(np.log1p(0.64)) * rng.standard_normal())) if turn else 0.0
                for call in range(2):
                    file.write(json.dumps(span(number, turn, call, now, prompt)) + "\n")
                    now += 1.0 + (3.0 if call == 0 else 0.0)
                    prompt += 200
    return path


def span(session, turn, call, at_s, prompt):
    start = 1_767_225_600.0 + at_s
    return {
        "context": {"trace_id": f"{session}-{turn}", "span_id": f"{session}-{turn}-{call}"}, "start_time": start,
        "end_time": start + 1.0, "parent_id": None,
        "attributes": {"gen_ai.operation.name": "chat", "gen_ai.usage.input_tokens": prompt,
                       "gen_ai.usage.output_tokens": 50, "session.id": str(session),
                       "user.id": "big" if session % 4 else "small"},
    }  # fmt: skip


def test_what_was_put_into_a_trace_is_what_its_profile_shows(trace_file):
    seen = profile(read_trace(trace_file))
    assert (seen.sessions, seen.turns, seen.calls) == (SESSIONS, 3 * SESSIONS, 6 * SESSIONS)
    assert (seen.turns_per_interaction.mean, seen.calls_per_turn.mean) == (3.0, 2.0)
    assert seen.think_s.median == pytest.approx(10, rel=0.1)
    assert seen.think_s.log_cv == pytest.approx(0.8, rel=0.15)
    assert seen.tool_s.median == pytest.approx(3.0, abs=1e-3)
    assert seen.starts.cv == pytest.approx(2.0, rel=0.2)
    assert [round(client.share, 3) for client in seen.clients] == [0.75, 0.25]
    assert seen.input_tokens.mean == 1500
    assert seen.prefixes.history_tokens_per_turn == 400
    assert seen.prefixes.tool_result_tokens == 150


def test_the_burstiness_of_known_processes_is_measured(trace_file):
    """Even gaps have CV 0, Poisson gaps 1; gaps of zero say nothing."""
    rng = np.random.default_rng(1)
    assert burstiness(np.arange(1000.0), 60.0) == pytest.approx(0, abs=0.02)
    assert burstiness(np.cumsum(rng.exponential(1.0, 5000)), 60.0) == pytest.approx(1.0, abs=0.05)
    assert burstiness(np.repeat(np.arange(100.0), 10), 60.0) is None


def test_a_fitted_scenario_is_valid_and_says_where_it_comes_from(trace_file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text, data = fit_files([trace_file], "mine", "1,2,3", None, "smoke")
    scenario = load_scenario("mine.yaml", ())
    peak = scenario.demand.interactions.peak_per_s
    assert (round(peak.mid / peak.low, 3), round(peak.high / peak.low, 3)) == (2, 3)
    assert scenario.demand.interactions.arrivals.process == "gamma"
    assert set(scenario.demand.interactions.clients) == {"client_1", "client_2"}
    assert scenario.mix.turns_per_interaction.mean == 3
    assert scenario.capacity.assumed_tokens.calls_per_turn == 2
    tokens = scenario.capacity.assumed_tokens
    later = tokens.history_tokens_per_turn * (scenario.mix.turns_per_interaction.mean - 1) / 2
    whole = tokens.shared_prefix_tokens + later + tokens.tool_result_tokens + tokens.message_tokens
    assert whole == pytest.approx(1500, abs=2)
    assert "not in the file, so the parent's (smoke): prefixes" in text
    assert "back-test: of the last fifth's" in text
    assert data["profile"]["sessions"] == SESSIONS


def test_a_steady_trace_foretells_its_last_part(trace_file):
    """Sessions alike: most of the figures of the last fifth lie within what the rest says."""
    figures = back_test(read_trace(trace_file))
    assert {figure.name for figure in figures} >= {"think time, s", "sessions per s", "CV of gaps"}
    assert sum(figure.inside for figure in figures) >= len(figures) - 1


def test_a_trace_that_changes_is_caught_by_its_back_test(tmp_path):
    """Prompts twice as long in the last fifth lie outside."""
    at_s = np.cumsum(np.random.default_rng(3).exponential(1.0, 1000))
    rows = [f"{at_s[k]},{100 + k % 7 if k < 800 else 220},{5 + k % 3}" for k in range(1000)]
    path = tmp_path / "log.csv"
    path.write_text("timestamp_s,input_tokens,output_tokens\n" + "\n".join(rows) + "\n")
    outside = [figure.name for figure in back_test(read_trace(path)) if not figure.inside]
    assert outside == ["input tokens per call"]


def test_prefixes_of_block_traces_are_measured(tmp_path):
    """Two blocks are everybody's; of 12 blocks the last three prompts repeat 2, 2 and 3."""
    rows = [[1, 2, 3], [1, 2, 4], [1, 2, 5], [1, 2, 5]]
    path = tmp_path / "blocks.jsonl"
    path.write_text(
        "".join(
            json.dumps({"timestamp": 1000 * k, "input_length": 1536, "output_length": 5, "hash_ids": ids}) + "\n"
            for k, ids in enumerate(rows)
        )
    )
    held = measure_prefixes(read_trace(path).sessions)
    assert (held.shared_tokens, held.repeated_ratio) == (1024, pytest.approx(7 / 12))


def test_a_file_without_a_clock_leaves_the_arrivals_to_the_parent(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    talk = [{"from": who, "value": "hello " * 20} for who in ("human", "gpt", "human", "gpt")]
    (tmp_path / "talks.json").write_text(json.dumps([{"id": str(k), "conversations": talk} for k in range(20)]))
    text, _ = fit_files([tmp_path / "talks.json"], "talks", None, None, "smoke")
    scenario, parent = load_scenario("talks.yaml", ()), load_scenario("smoke", ())
    assert scenario.demand == parent.demand
    assert scenario.mix.turns_per_interaction.mean == 2
    assert "arrivals: its sessions have no clock in common" in text


def test_options_of_counts_are_refused_for_a_trace(trace_file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CommandError, match="--length"):
        fit_files([trace_file], "mine", None, "4d", "smoke")
    (tmp_path / "mine.yaml").touch()
    with pytest.raises(CommandError, match="is there already"):
        fit_files([trace_file], "mine", None, None, "smoke")


@pytest.mark.parametrize(
    ("name", "sessions", "calls"),
    [("ragpulse/trace_days0-3.jsonl.gz", 2439, 4354), ("azure_llm_2023_code.csv.gz", 8819, 8819)],
)
def test_public_traces_become_scenarios(traces, tmp_path, monkeypatch, name, sessions, calls):
    monkeypatch.chdir(tmp_path)
    _, data = fit_files([traces / name], "public", None, None, "smoke")
    assert (data["profile"]["sessions"], data["profile"]["calls"]) == (sessions, calls)
    load_scenario("public.yaml", ())
