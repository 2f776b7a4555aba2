"""`ask` shows what was sent, what came and what was made of it."""

import gzip
import json
from pathlib import Path

import pytest

from emulator.bedrock import eventstream_encoder
from loadgen.targets.openai_options import OpenAiOptions
from peakday.agent.ask import FOLLOW_UP, ask_target, masked
from peakday.consent import NO_CONSENT
from peakday.console import Console
from tests.loadgen.server import chat_chunk, response, serving, usage_chunk

DONE = b"data: [DONE]\n\n"


def chat_delta(delta):
    """One event of a chat completion stream."""
    return b"data: " + json.dumps({"choices": [{"delta": delta, "finish_reason": None}]}).encode() + b"\n\n"


@pytest.fixture
def asked(tmp_path, monkeypatch):
    """One question to a server that answers with these bytes."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-s3cret")

    def ask(body, query="", kind="openai", status="200 OK", headers="", **more):
        answer = response(body, status, headers, content_type="text/event-stream")
        with serving(lambda *_: [(0.0, answer)]) as server:
            named = f"{kind}{server.url}" if kind.endswith("@") else f"{kind}{':' if '=' in kind else '='}{server.url}"
            shown = ask_target(f"{named}/v1{query}", "is it red?", NO_CONSENT, Console(quiet=True), model="m", **more)
            return *shown, server.requests[-1]

    return ask


def test_an_answer_is_shown_with_what_was_recognised(asked):
    text, data, code, (path, headers, _) = asked(chat_chunk("yes") + usage_chunk(5, 1) + DONE, "?code=s3cret")
    assert (path, headers["authorization"], code) == ("/v1/chat/completions?code=s3cret", "Bearer sk-s3cret", 0)
    assert "s3cret" not in text + str(data)
    assert "Authorization: ***" in data["request"]
    assert '"model":"m"' in data["request"].replace(" ", "")
    assert "= text: 'yes'" in text
    assert data["verdict"].startswith("recognised first token at ")
    assert "not:" not in data["verdict"]


MAPPED = "http=ollama"
"""A mapping: `message.content`, then `done`."""


@pytest.mark.parametrize(
    ("kind", "body", "to_do"),
    [
        ("openai", chat_chunk("yes"), ("end not: a load run takes such", "usage not: token counts stay unknown")),
        (MAPPED, b'{"message": {"content": "yes"}}\n', ("end not: add `end`", "usage not: add `usage`")),
    ],
)
def test_what_was_not_recognised_is_named_with_what_to_do(asked, kind, body, to_do):
    _, data, code, _ = asked(body, kind=kind)
    assert code == 0
    assert all(words in data["verdict"] for words in to_do)


@pytest.mark.parametrize(
    ("kind", "body", "to_do"),
    [
        ("openai", b'data: {"surprise": 1}\n\n', "first token not: there is no content in it"),
        (MAPPED, b'{"surprise": 1}\n', "first token not: add a rule `text`"),
    ],
)
def test_an_answer_of_which_nothing_was_recognised_is_exit_code_1(asked, kind, body, to_do):
    text, data, code, _ = asked(body, kind=kind)
    assert code == 1
    assert "surprise" in text
    assert to_do in data["verdict"]


@pytest.mark.parametrize(
    ("kind", "body", "looked"),
    [
        ("openai", b'data: {"surprise": 1}\n\ndata: wait\n\n' + chat_chunk("yes") + DONE, "finish reason or error"),
        (MAPPED, b'{"surprise": 1}\nwait\n{"message": {"content": "yes"}}\n{"done": true}\n', "message.content (text)"),
    ],
)
def test_every_ignored_event_has_its_reason(asked, kind, body, looked):
    """Where it was looked for and what is there, or no JSON."""
    text, data, _, _ = asked(body, kind=kind)
    reasons = [reason for piece in data["pieces"] for reason in piece["ignored"]]
    assert "it has surprise" in reasons[0]
    assert looked in reasons[0]
    assert reasons[1] == "no JSON: it only keeps the connection alive"
    assert f"- ignored: {reasons[1]}" in text


@pytest.mark.parametrize(
    ("body", "recognised"),
    [
        (chat_chunk("yes", finish_reason="length"), ["text", "end"]),
        (chat_delta({"reasoning_content": "hm"}) + chat_chunk("yes") + DONE, ["content", "text", "end"]),
        (chat_delta({"tool_calls": [{"function": {"name": "find", "arguments": ""}}]}) + DONE,
         ["content", "tool", "end"]),
        (b'\n{"choices": [{"message": {"content": "yes"},\n "finish_reason": "stop"}],'
         b' "usage": {"prompt_tokens": "5"}}',
         ["text", "usage", "end"]),
        (b'data: {"error": {"code": 429, "message": "slow down"}}\n\n', ["error"]),
    ],
)  # fmt: skip
def test_an_openai_answer_is_read_as_in_a_load_run(asked, body, recognised):
    """An end without [DONE], reasoning as a first token, tools alone, and JSON though a stream was asked for."""
    _, data, _, _ = asked(body)
    assert [each["kind"] for piece in data["pieces"] for each in piece["recognised"]] == recognised


def test_a_compressed_answer_is_shown_and_named(asked):
    """A load run counts such a turn as an error, so `ask` does too."""
    body = gzip.compress(chat_chunk("yes") + DONE)
    text, data, code, _ = asked(body, headers="Content-Encoding: gzip\r\n")
    assert (code, "= text: 'yes'" in text) == (1, True)
    assert "content encoding gzip: it compressed the answer, which was not asked for" in data["verdict"]


def test_of_an_error_status_the_verdict_is_what_the_server_says(asked):
    _, data, code, _ = asked(b"<h1>Slow down</h1>", status="429 Too Many Requests", headers="Retry-After: 7\r\n")
    assert code == 1
    assert data["verdict"].endswith("/v1/chat/completions: status 429 (retry after 7 s): <h1>Slow down</h1>")


def test_options_of_openai_targets_are_sent(asked):
    options = OpenAiOptions({"X-Team": "search"}, "Be short.", {"stream_options": None, "top_p": 1}, 7)
    *_, (_, headers, body) = asked(chat_chunk("yes") + DONE, options=options)
    fields = json.loads(body)
    assert headers["x-team"] == "search"
    assert (fields["messages"][0]["content"], fields["max_tokens"], fields["top_p"]) == ("Be short.", 7, 1)
    assert "stream_options" not in fields


def test_a_bedrock_target_is_asked_as_in_a_load_run(asked):
    """The signed request, each frame, and the follow-up with the conversation before it."""
    frames = (("contentBlockDelta", {"delta": {"text": "yes"}}), ("messageStop", {"stopReason": "end_turn"}),
              ("metadata", {"usage": {"inputTokens": 5, "outputTokens": 1}}))  # fmt: skip
    body = b"".join(eventstream_encoder.event(name, json.dumps(value).encode()) for name, value in frames)
    _, data, code, (path, headers, sent) = asked(body, kind="bedrock", turns=2)
    assert (path, code) == ("/v1/model/m/converse-stream", 0)
    assert headers["authorization"].startswith("AWS4-HMAC-SHA256")
    said = [part["text"] for message in json.loads(sent)["messages"] for part in message["content"]]
    assert said == ["is it red?", "yes", FOLLOW_UP]
    kinds = [each["kind"] for piece in data["turns"][0]["pieces"] for each in piece["recognised"]]
    assert kinds == ["text", "end", "usage"]


def test_a_module_target_is_asked_by_its_own_class(asked):
    module = Path(__file__).parents[2] / "examples/targets/lines_target.py"
    text, data, code, _ = asked(b"+yes\n.\n", kind=f"module={module}:Target@")
    assert (code, data["verdict"].startswith("recognised first token at")) == (0, True)
    assert "= text: 'yes'" in text


def test_a_second_turn_brings_the_conversation(asked):
    """`--turns 2`: the follow-up comes with question and answer before it, and each turn has its verdict."""
    text, data, code, (_, _, body) = asked(chat_chunk("yes") + usage_chunk(5, 1) + DONE, turns=2)
    assert (code, [turn["verdict"].startswith("recognised") for turn in data["turns"]]) == (0, [True, True])
    assert [message["content"] for message in json.loads(body)["messages"]] == ["is it red?", "yes", FOLLOW_UP]
    assert text.startswith("turn 1\n")


def test_headers_that_hold_secrets_are_masked():
    sent = b"POST /a?k=1 HTTP/1.1\r\nX-Api-Key: abc\r\nCookie: d\r\nX-Team: e\r\n\r\n{}"
    assert masked(sent) == "POST /a?*** HTTP/1.1\nX-Api-Key: ***\nCookie: ***\nX-Team: ***\n\n{}"
