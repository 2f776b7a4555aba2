"""Spans of turns, calls and tools: who is whose child, what they are called, and that no text is in them."""

from __future__ import annotations

import unicodedata
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wire.spans import RunTrace, ToolUsed, TurnTrace, offered_turn_span, root_span_id, run_span, turn_spans

TRACE = "8af8d028a639424b01a9d768215dae6d"
CALL = {
    "call_index": 0, "start_s": 0.1, "status": "ok", "purpose": "tool_round", "model": "nova-pro", "supply": "bedrock",
    "region": "us-east-1", "max_tokens": 512, "input_tokens": 100, "cache_read_tokens": 700,
    "cache_write_tokens_5m": 40, "cache_write_tokens_1h": None, "output_tokens": 12, "ttft_s": 0.2, "e2e_s": 0.5,
    "attempts": 1, "error_code": None, "stop_reason": "tool_use", "cost_usd": 0.001,
}  # fmt: skip
TURN = TurnTrace(
    trace_id=TRACE, parent_id=root_span_id(TRACE), started_unix_s=1_700_000_000.0, duration_s=2.0, error=None,
    attributes={"peakday.intent": "deals", "peakday.route": None},
    calls=(CALL, CALL | {"call_index": 1, "purpose": "tool_round"}, CALL | {"call_index": 2, "purpose": "answer"}),
    tools=(ToolUsed("live_price", "t1", 1, 0.6, 0.1, "ok"), ToolUsed("recall", "t2", 2, 1.2, 0.1, "timeout")),
)  # fmt: skip
RUN = RunTrace("20261129-1-smoke", "smoke", 1_700_000_000_000_000_000, 1_700_000_060_000_000_000)
ROW = {
    "session_id": "s1", "interaction_id": "s1-0", "turn_index": 0, "trace_id": TRACE, "intent": "deals",
    "complexity": "simple", "route": "nova-pro", "region": "us-east-1", "status": "ok", "error_code": None,
    "intended_start_s": 3.0, "start_lag_s": 0.25, "ttft_s": 0.75, "e2e_s": 2.25, "e2e_from_send_s": 2.0,
    "output_tokens": 80, "cost_usd": None,
}  # fmt: skip


def test_a_turn_is_the_child_of_the_request_that_asked_it():
    """The load generator's span has the id that its traceparent carried, whoever exports first."""
    theirs, ours = offered_turn_span(RUN, ROW), turn_spans(TURN)[0]
    assert (ours.parent_id, ours.trace_id) == (theirs.span_id, theirs.trace_id) == (TRACE[16:], TRACE)
    assert theirs.parent_id == ""


def test_calls_are_under_the_turn_and_tools_under_the_call_that_asked_for_them():
    turn, first, second, answer, price, recall = turn_spans(TURN)
    assert {first.parent_id, second.parent_id, answer.parent_id} == {turn.span_id}
    assert (price.parent_id, recall.parent_id) == (first.span_id, second.span_id)
    assert len({span.span_id for span in turn_spans(TURN)}) == TURN.parts == 6


def test_names_and_attributes_are_those_of_the_genai_conventions():
    """Input tokens hold the cached ones too; what is unknown is left out, and never zero."""
    turn, call, *_, tool = turn_spans(TURN)
    assert (turn.name, call.name, tool.name) == ("invoke_agent peakday", "chat nova-pro", "execute_tool recall")
    assert call.attributes["gen_ai.provider.name"] == "aws.bedrock"
    assert call.attributes["gen_ai.usage.input_tokens"] == 840
    assert call.attributes["gen_ai.usage.cache_read.input_tokens"] == 700
    assert call.attributes["gen_ai.usage.cache_creation.input_tokens"] == 40
    assert "peakday.route" not in turn.attributes
    unknown = CALL | {"input_tokens": None, "cache_write_tokens_5m": None}
    assert "gen_ai.usage.input_tokens" not in turn_spans(replace(TURN, calls=(unknown,), tools=()))[1].attributes


def test_times_are_those_of_turn_call_and_tool():
    turn, call, *_, tool = turn_spans(TURN)
    base = 1_700_000_000_000_000_000
    assert (turn.start_ns, turn.end_ns - turn.start_ns) == (base, 2_000_000_000)
    assert (call.start_ns - base, call.end_ns - call.start_ns) == (100_000_000, 500_000_000)
    assert tool.start_ns - base == 1_200_000_000
    sent = offered_turn_span(RUN, ROW)
    assert (sent.start_ns - base, sent.end_ns - sent.start_ns) == (3_250_000_000, 2_000_000_000)


def test_errors_are_marked():
    assert [span.error for span in turn_spans(TURN)][-2:] == [None, "timeout"]
    throttled = CALL | {"status": "throttled", "error_code": "429_quota"}
    assert turn_spans(replace(TURN, calls=(throttled,), tools=()))[1].error == "429_quota"
    assert offered_turn_span(RUN, ROW | {"status": "timeout"}).error == "timeout"


@pytest.mark.parametrize("trace_id", [None, "", "x" * 32, "0" * 32, "a" * 16 + "0" * 16, 5, TRACE.upper()])
def test_a_turn_without_a_usable_trace_id_gets_one_of_its_own(trace_id):
    """A target repeats the id, so it may be anything: two turns never share one, and none has an id of zeros."""
    one = offered_turn_span(RUN, ROW | {"trace_id": trace_id})
    other = offered_turn_span(RUN, ROW | {"trace_id": trace_id, "turn_index": 1})
    assert len(bytes.fromhex(one.trace_id)) == 16
    assert one.trace_id != other.trace_id
    assert int(one.span_id, 16)


def test_every_turn_is_linked_to_its_run():
    """A run has a trace of its own: a trace of ten million turns could not be shown."""
    assert offered_turn_span(RUN, ROW).link == RUN.ids == (run_span(RUN).trace_id, run_span(RUN).span_id)
    assert run_span(RUN).attributes == {"peakday.run_id": "20261129-1-smoke", "peakday.scenario": "smoke"}


@settings(max_examples=40, deadline=None)
@given(st.text(min_size=1, max_size=300))
def test_a_name_from_outside_is_one_short_line(text):
    """Models, tools and error codes are a target's words."""
    spans = [
        offered_turn_span(RUN, ROW | {"status": "http_error", "error_code": text, "route": text}),
        *turn_spans(replace(TURN, tools=(ToolUsed(text, text, 1, 0.0, 0.0, "ok"),))),
    ]
    for span in spans:
        for value in (span.name, span.error or "", *map(str, span.attributes.values())):
            assert len(value) < 250
            acts = [c for c in value if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp")]
            assert set(acts) <= set("\u200c\u200d")
