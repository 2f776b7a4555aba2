"""`peakday run --replay`: what a dry run says, and what is refused before anything starts."""

import json

import pytest

from peakday.errors import CommandError
from peakday.run.load import LoadOptions
from peakday.run.rehearsal import dry_run, prepare
from scenarios.errors import ScenarioError


@pytest.fixture
def trace(tmp_path, monkeypatch):
    """Forty requests a second apart, each of 100 tokens and answered with 5."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "trace.csv"
    path.write_text("timestamp_s,input_tokens,output_tokens\n" + "".join(f"{k},100,5\n" for k in range(40)))
    return path


def options(trace, *targets, **more):
    return LoadOptions(replay=(trace,), targets=targets, **more)


def test_a_dry_run_says_what_a_replay_asks_for(trace):
    text, data = dry_run(prepare("smoke", (), options(trace, "openai=http://127.0.0.1:9/v1", window=(0, 20)), None))
    assert (data["sessions"], data["turns"], data["input_tokens"], data["output_tokens"]) == (20, 20.0, 2000.0, 100.0)
    assert "replay of a trace (csv): 20 sessions, 20 model calls, one by one" in text
    assert "sizes of the trace" in text


def test_without_a_target_a_replay_asks_our_assistant(trace):
    text, _ = dry_run(prepare("smoke", (), options(trace), None))
    assert "a trace holds no words" in text


def test_times_alone_are_messages_for_an_assistant_and_nothing_for_a_models_server(trace):
    """A log without lengths costs by the assumed sizes, not by one token each; a model's server needs lengths."""
    trace.write_text("timestamp_s\n" + "".join(f"{k}\n" for k in range(40)))
    text, data = dry_run(prepare("smoke", (), options(trace), None))
    assert "assumed sizes, the trace holds none" in text
    assert data["input_tokens"] > 40 * 1000
    with pytest.raises(ScenarioError, match="no row says how long a prompt is"):
        prepare("smoke", (), options(trace, "openai=http://127.0.0.1:9/v1"), None)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"users": 3}, "excludes --users"),
        ({"live_output": True}, "--live-output needs a server"),
        ({"rate_per_s": 1.0}, "--rate needs --for"),
        ({"rate_per_s": 1.0, "for_s": 5.0, "window": (0.0, 9.0)}, "excludes --window"),
    ],
)
def test_options_that_exclude_a_replay_are_named(trace, more, words):
    with pytest.raises(CommandError, match=words):
        prepare("smoke", (), options(trace, **more), None)


def test_text_of_token_ids_cannot_be_kept(trace):
    with pytest.raises(CommandError, match="--keep-text"):
        prepare("smoke", (), options(trace, "openai=http://127.0.0.1:9/v1", keep_text=True), None)


def test_a_trace_without_a_clock_asks_for_a_rate(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    talk = [{"from": who, "value": "hello"} for who in ("human", "gpt")]
    path = tmp_path / "talk.json"
    path.write_text(json.dumps([{"id": "a", "conversations": talk}]))
    with pytest.raises(ScenarioError, match="--rate 1/s --for"):
        prepare("smoke", (), LoadOptions(replay=(path,)), None)
