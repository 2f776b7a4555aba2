"""A server's protocol is found by asking, and the mapping that fits is written."""

import pytest

from loadgen.targets.mapping import target_specs
from peakday.agent.detect import detect
from peakday.consent import NO_CONSENT
from peakday.console import Console
from peakday.errors import CommandError
from tests.loadgen.server import chat_chunk, response, serving, usage_chunk
from tests.loadgen.test_named_mappings import WIRES

QUIET = Console(quiet=True)


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("ANTHROPIC_API_KEY", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)


def answering(body):
    """A server that gives this stream to every POST."""
    stream, absent = response(body, content_type="text/event-stream"), response(b"no", "404 Not Found")
    return serving(lambda path, *_: [(0.0, absent if "healthz" in path else stream)])


@pytest.mark.parametrize("name", ["ag-ui", "ai-sdk", "a2a"])
def test_a_protocol_is_recognised_and_its_mapping_written(tmp_path, name):
    begun, ended, _ = WIRES[name]
    with answering(begun + ended) as server:
        text, data, code = detect(f"{server.url}/x", None, tmp_path / "mine.yaml", NO_CONSENT, QUIET)
        (spec,) = target_specs(tmp_path / "mine.yaml")
    assert (code, data["best"]) == (0, f"http={name}:{server.url}/x")
    assert spec.url == f"{server.url}/x"
    assert "anthropic    not tried: it sends a key; say --api-key-env ANTHROPIC_API_KEY if it may" in text


@pytest.mark.parametrize("typed", ["/v1", "", "/", "/v1/chat/completions"])
def test_an_openai_server_is_recognised_by_any_of_its_addresses(typed):
    """Also one that ends without [DONE] and thinks before it speaks."""
    stream = chat_chunk("yes", finish_reason="stop") + usage_chunk(5, 1)

    def answer(path, *_):
        known = path == "/v1/chat/completions"
        return [(0.0, response(stream if known else b"no", "200 OK" if known else "404 Not Found"))]

    with serving(answer) as server:
        _, data, code = detect(f"{server.url}{typed}", "m", None, NO_CONSENT, QUIET)
    assert (code, data["best"]) == (0, f"openai={server.url}/v1")


@pytest.mark.parametrize(
    ("body", "best"),
    [
        (b"data: It ships\n\ndata:  Friday.\n\n", "http=sse-text"),
        (b"It ships Friday.", "http=text"),
        (b"<html><body>Welcome</body></html>", None),
        (b'{"answer": "It ships"}', None),
        (b'data: {"unknown": "It ships"}\n\n', None),
    ],
    ids=["events of words", "words", "a page", "JSON", "events of JSON"],
)
def test_words_are_the_last_resort_and_no_other_body_is_taken_for_them(body, best):
    with answering(body) as server:
        _, data, code = detect(f"{server.url}/x", None, None, NO_CONSENT, QUIET)
    assert (code, data["best"]) == ((1, None) if best is None else (0, f"{best}:{server.url}/x"))


def test_no_key_is_sent_that_was_not_named(monkeypatch):
    for name in ("ANTHROPIC_API_KEY", "OPENAI_API_KEY"):
        monkeypatch.setenv(name, "sk-s3cret")
    begun, ended, _ = WIRES["anthropic"]
    with answering(begun + ended) as server:
        detect(f"{server.url}/x", "m", None, NO_CONSENT, QUIET)
        assert "s3cret" not in str(server.requests)
        _, data, _ = detect(f"{server.url}/x", "m", None, NO_CONSENT, QUIET, "ANTHROPIC_API_KEY")
    assert data["best"] == f"http=anthropic:{server.url}/x"


def test_a_server_that_speaks_none_is_exit_code_1(tmp_path):
    with serving(lambda *_: [(0.0, response(b"no", "404 Not Found"))]) as server:
        text, data, code = detect(f"{server.url}/x", None, None, NO_CONSENT, QUIET)
    assert (code, data["best"]) == (1, None)
    assert "none was recognised" in text


def test_an_address_that_is_not_ours_is_refused(tmp_path):
    with pytest.raises(CommandError, match="not loopback and not declared"):
        detect("http://192.0.2.1/x", None, None, NO_CONSENT, QUIET)


def test_a_silent_server_is_asked_no_longer_than_all_protocols_may_take(monkeypatch):
    """It was 20 s for each of them: five minutes."""
    for name in ("WITHIN_S", "ALL_WITHIN_S", "HEALTH_WITHIN_S"):
        monkeypatch.setattr(f"peakday.agent.detect.{name}", 0.01)
    with serving(lambda *_: [(30.0, b"")]) as server:
        text, data, code = detect(f"{server.url}/x", None, None, NO_CONSENT, QUIET)
    assert (code, data["best"]) == (1, None)
    assert "not tried: the 0.01 s for all protocols are over" in text
