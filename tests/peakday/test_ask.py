"""`ask` shows what was sent, what came and what was made of it."""

import json

import pytest

from peakday.agent.ask import FOLLOW_UP, ask_mapping, masked
from peakday.consent import NO_CONSENT
from peakday.console import Console
from tests.loadgen.server import chat_chunk, response, serving, usage_chunk

DONE = b"data: [DONE]\n\n"


@pytest.fixture
def asked(tmp_path, monkeypatch):
    """One question to an OpenAI-compatible server that answers with these bytes."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-s3cret")

    def ask(body, query="", **more):
        with serving(lambda *_: [(0.0, response(body, content_type="text/event-stream"))]) as server:
            shown = ask_mapping(
                f"openai={server.url}/v1{query}", "is it red?", NO_CONSENT, Console(quiet=True), model="m", **more
            )
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


def test_what_was_not_recognised_is_named_with_what_to_add(asked):
    _, data, code, _ = asked(chat_chunk("yes"))
    assert code == 0
    assert "end not: add `end`" in data["verdict"]
    assert "usage not: add `usage`" in data["verdict"]


def test_an_answer_of_which_nothing_was_recognised_is_exit_code_1(asked):
    text, data, code, _ = asked(b'data: {"surprise": 1}\n\n')
    assert code == 1
    assert "surprise" in text
    assert "first token not: add a rule `text`" in data["verdict"]


def test_every_ignored_event_has_its_reason(asked):
    """Where rules looked and what is there, no JSON, a comment."""
    text, data, _, _ = asked(b': ping\n\ndata: {"surprise": 1}\n\ndata: wait\n\n' + chat_chunk("yes") + DONE)
    reasons = [reason for piece in data["pieces"] for reason in piece["ignored"]]
    assert "it has surprise" in reasons[0]
    assert "choices.0.delta.content (text)" in reasons[0]
    assert reasons[1] == "no JSON: it only keeps the connection alive"
    assert f"- ignored: {reasons[1]}" in text


def test_a_second_turn_brings_the_conversation(asked):
    """`--turns 2`: the follow-up comes with question and answer before it, and each turn has its verdict."""
    text, data, code, (_, _, body) = asked(chat_chunk("yes") + usage_chunk(5, 1) + DONE, turns=2)
    assert (code, [turn["verdict"].startswith("recognised") for turn in data["turns"]]) == (0, [True, True])
    assert [message["content"] for message in json.loads(body)["messages"]] == ["is it red?", "yes", FOLLOW_UP]
    assert text.startswith("turn 1\n")


def test_headers_that_hold_secrets_are_masked():
    sent = b"POST /a?k=1 HTTP/1.1\r\nX-Api-Key: abc\r\nCookie: d\r\nX-Team: e\r\n\r\n{}"
    assert masked(sent) == "POST /a?*** HTTP/1.1\nX-Api-Key: ***\nCookie: ***\nX-Team: ***\n\n{}"
