"""Spans arrive at a receiver that is a process of its own: as many as the record has turns, calls and tools."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace

import pytest

from facts.stack import Otlp
from host.outbox import Outbox
from loadgen.record import load_run
from loadgen.run_info import write_info
from peakday.cli import main
from peakday.errors import CommandError
from peakday.run.spans import export_run, named_receiver
from tests.assistant.harness import Harness
from tests.assistant.shop import write_catalogue
from tests.dashboards.records import make_run
from tests.otlp_receiver import received, receiving
from wire.otlp import own_headers, sender, traces_url
from wire.spans import turn_spans


@pytest.mark.system
def test_a_runs_spans_are_its_turns_one_for_one(tmp_path):
    """From the record, once it is over: the run and every turn with its id, its times and what became of it."""
    run = make_run(tmp_path / "one", 300)
    write_info(run.path, replace(run.info, t0_utc="2026-11-23T09:40:01+00:00"))
    with receiving(tmp_path / "spans.jsonl") as url:
        line = export_run(run.path, Otlp(url, ("127.0.0.1",)))
    assert line == "--otlp: 301 spans of the load generator sent, 0 dropped"
    first, *turns = received(tmp_path / "spans.jsonl")
    assert first["name"] == "load run"
    assert Counter(one["attributes"]["gen_ai.conversation.id"] for one in turns) == Counter(run.turns["interaction_id"])
    assert sum(one["error"] for one in turns) == (run.turns["status"] != "ok").sum()
    assert all(one["links"] == [first["trace"]] for one in turns)
    tokens = sum(one["attributes"].get("gen_ai.usage.output_tokens", 0) for one in turns)
    assert tokens == run.turns["output_tokens"].sum()


def test_spans_that_a_receiver_refuses_or_that_do_not_arrive_are_counted(tmp_path):
    run = make_run(tmp_path / "one", 20)
    write_info(run.path, replace(run.info, t0_utc="2026-11-23T09:40:01+00:00"))
    with receiving(tmp_path / "spans.jsonl", refuse=5) as url:
        assert "16 spans of the load generator sent, 5 dropped" in export_run(run.path, Otlp(url, ("127.0.0.1",)))
    line = export_run(run.path, Otlp("http://127.0.0.1:1", ("127.0.0.1",)))
    assert line.startswith("--otlp: 0 spans of the load generator sent, 21 dropped (http://127.0.0.1:1/v1/traces: ")


def test_a_record_without_t0_has_no_spans(tmp_path):
    """An older one: its turns have no time of day, and none is invented."""
    assert "no t0" in export_run(make_run(tmp_path / "one", 5).path, Otlp("http://127.0.0.1:1"))


@pytest.mark.parametrize(
    ("url", "code", "words"),
    [("http://192.0.2.1:4318", 2, "owned_targets"), ("ftp://127.0.0.1", 2, "--otlp"),
     ("http://127.0.0.1:1", 5, "--otlp http=http://127.0.0.1:1: does not answer")],
)  # fmt: skip
def test_the_receiver_goes_through_the_guard(url, code, words, capsys):
    """An address that is not owned is refused before anything is started, a silent one before the first turn."""
    for verb in (["run", "smoke", "--rate", "1/s", "--for", "1s"], ["up", "smoke"]):
        with pytest.raises(SystemExit) as ended:
            main([*verb, "--otlp", url, "--quiet"])
        assert ended.value.code == code
        assert words in capsys.readouterr().err


def test_without_the_extra_it_is_said_how_to_install_it(monkeypatch):
    monkeypatch.setattr("peakday.run.spans.find_spec", lambda name: None)
    with pytest.raises(CommandError, match=r"pip install 'peakday\[otel\]'") as refused:
        named_receiver("http://127.0.0.1:4318")
    assert refused.value.exit_code == 5


def test_a_base_address_gets_the_path_of_traces():
    assert traces_url("http://h:4318") == traces_url("http://h:4318/") == "http://h:4318/v1/traces"
    assert traces_url("https://h/otlp/v1/traces") == "https://h/otlp/v1/traces"
    assert traces_url("https://h/otlp") == "https://h/otlp/v1/traces"


def test_a_receivers_key_comes_from_the_usual_variable():
    assert own_headers("api-key=a%20b, x = y ,nothing,=z") == {"api-key": "a b", "x": "y"}


@pytest.mark.system
def test_an_assistants_turn_arrives_as_turn_calls_and_tools_without_a_word_of_text(tmp_path):
    """The spans of a scripted turn, through the assistant's own outbox; its answer waited for none of it."""
    secret = "my card ends in 4242"
    with receiving(tmp_path / "spans.jsonl") as url:
        send = sender(url, ("127.0.0.1",), {"service.name": "peakday-assistant"})
        spans = Outbox(lambda turns: send([span for turn in turns for span in turn_spans(turn)]).refused)
        shop = Harness(write_catalogue(tmp_path / "catalogue.sqlite"), tmp_path, spans=spans)
        headers = {**shop.signed_in(), "traceparent": f"00-{'a' * 32}-{'b' * 16}-01"}
        shop.model.script = [[("live_price", {"product_id": "p000001"})], "It costs 5 USD."]
        body = {"interaction_id": "i1", "turn_index": 0, "message": f"what does it cost? {secret}"}
        answer = shop.request("POST", "/v1/turns", body, headers)
        assert not received(tmp_path / "spans.jsonl")
        spans.start()
        spans.close(10.0)
        shown = shop.metrics.text().decode()
        shop.close()
    arrived = received(tmp_path / "spans.jsonl")
    names = Counter(one["name"].split()[0] for one in arrived)
    assert names == {"invoke_agent": 1, "chat": len(answer.all("usage")), "execute_tool": len(answer.all("tool"))}
    assert {one["trace"] for one in arrived} == {"a" * 32}
    assert arrived[0]["parent"] == "b" * 16
    assert f"assistant_spans_sent_total {len(arrived)}.0" in shown
    assert not any(word in json.dumps(arrived) for word in (secret, "It costs", "what does"))


@pytest.mark.slow
def test_spans_of_a_run_equal_its_record_one_for_one(tmp_path, monkeypatch):
    """A load run on the local stack: turns from either side, and every call and tool once, in the turns' traces."""
    monkeypatch.chdir(tmp_path)
    with receiving(tmp_path / "spans.jsonl") as url, pytest.raises(SystemExit) as ended:
        main(["run", "smoke", "--rate", "4/s", "--for", "5s", "--otlp", url, "--quiet", "--out", "runs/one"])
    assert ended.value.code in (0, 3)
    run, spans = load_run(tmp_path / "runs/one"), received(tmp_path / "spans.jsonl")
    names = Counter((one["resource"]["service.name"].split("-")[1], one["name"].split()[0]) for one in spans)
    assert names == {
        ("loadgen", "load"): 1, ("loadgen", "turn"): len(run.turns), ("assistant", "invoke_agent"): len(run.turns),
        ("assistant", "chat"): len(run.calls), ("assistant", "execute_tool"): len(run.tools),
    }  # fmt: skip
    sent = {one["span"]: one["trace"] for one in spans if one["name"] == "turn"}
    turns = [one for one in spans if one["name"].startswith("invoke_agent")]
    assert {one["parent"]: one["trace"] for one in turns} == sent
    assert set(sent.values()) == set(run.turns["trace_id"])
    assert {one["resource"].get("peakday.run_id") for one in turns} == {"one"}
    tokens = sum(one["attributes"].get("gen_ai.usage.output_tokens", 0) for one in spans if "chat" in one["name"])
    assert tokens == run.calls["output_tokens"].sum()
