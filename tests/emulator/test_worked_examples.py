"""The published worked examples of Bedrock's caching and quotas, replayed as traffic.

Source: two estimate documents in a public repository of Bedrock cost use cases, recomputed: system 1,000 + tools
4,000 + user 100 + retrieved 3,000 tokens; three tools in a row, each adding a call of 100 and a result of 500.
"""

import http.client
import json
import resource
import socket
from contextlib import ExitStack
from itertools import count

import pytest

from emulator.language.tokens import TokenRule
from emulator.profiles import read_profiles
from facts.reader import models
from tests.emulator.conftest import FAST, WORKED

POINT = {"cachePoint": {"type": "default"}}
HEADERS = {"authorization": "AWS4-HMAC-SHA256 Credential=test/20261123/us-east-1/bedrock/aws4_request"}
MAX_TOKENS = 4096
INSTANT = {"ttft": {"base_s": 0, "per_uncached_token_s": 0, "per_cached_token_s": 0}, "gap": {"gap_s": 0}}


class Replay:
    """Asks the example's questions of one model and keeps the usage of every call."""

    def __init__(self, emulator, model: str) -> None:
        self.model = models()[model]
        self.rule: TokenRule = read_profiles()[model].tokens
        self._emulator = emulator
        self._serial = count()
        emulator.control("profiles", {model: INSTANT})
        emulator.control("quotas", {model: {"tpm": 1e12}})
        self._http = http.client.HTTPConnection(emulator.url.removeprefix("http://"))

    def close(self) -> None:
        self._http.close()

    def text(self, tokens: int, start: str = "") -> str:
        """A text of exactly so many tokens."""
        return start.ljust(self.rule.bytes_for(tokens), ".")

    def tools(self) -> dict:
        """One tool whose definition counts 4,000 tokens."""
        tool = {"toolSpec": {"name": "lookup", "description": "", "inputSchema": {"json": {"type": "object"}}}}
        size = self.rule.bytes_for(4000) - len(json.dumps(tool, separators=(",", ":")))
        tool["toolSpec"]["description"] = "d" * size
        return {"tools": [tool]}

    def question(self) -> list[dict]:
        """Usage of the four calls of one question."""
        words = f"{WORKED}, asked of {self.model.key}"
        serial = next(self._serial)
        user = [{"text": self.text(3000, f"retrieved {serial} ")}, {"text": self.text(100 - self.rule.text(words))}]
        messages = [{"role": "user", "content": [*user, {"text": words}, POINT]}]
        usages = []
        for call in range(4):
            answer = self._converse(messages)
            usages.append(answer["usage"])
            if call < 3:
                messages.append(answer["output"]["message"])
                result = {
                    "toolUseId": answer["output"]["message"]["content"][0]["toolUse"]["toolUseId"],
                    "content": [{"text": self.text(500)}],
                }
                messages.append({"role": "user", "content": [{"toolResult": result}, *([POINT] if call < 2 else [])]})
        return usages

    def session(self, questions: int) -> list[list[dict]]:
        """Questions one after another; nothing is cached before."""
        self._emulator.control("reset", {"what": ["cache"]})
        return [self.question() for _ in range(questions)]

    def charged_tokens(self) -> float:
        """What the quota's settlement has charged so far."""
        return next(row["charged"] for row in self._emulator.get("/control/quotas")["windows"] if row["kind"] == "tpm")

    def _converse(self, messages: list[dict]) -> dict:
        body = {
            "messages": messages, "system": [{"text": self.text(1000)}, POINT], "toolConfig": self.tools(),
            "inferenceConfig": {"maxTokens": MAX_TOKENS},
        }  # fmt: skip
        self._http.request("POST", f"/model/{self.model.model_id}/converse", json.dumps(body), HEADERS)
        answer = self._http.getresponse()
        data = answer.read()
        assert answer.status == 200, data
        return json.loads(data)


def classes(question: list[dict]) -> dict[str, int]:
    """Token classes of one question, all its calls together."""
    names = {
        "write": "cacheWriteInputTokens",
        "read": "cacheReadInputTokens",
        "plain": "inputTokens",
        "out": "outputTokens",
    }
    return {name: sum(usage[key] for usage in question) for name, key in names.items()}


FIRST = {"write": 9_300, "read": 26_100, "plain": 600, "out": 400}
LATER = {"write": 4_300, "read": 31_100, "plain": 600, "out": 400}


@pytest.mark.parametrize(("model", "sessions", "questions"), [("nova-pro", 100, 2), ("claude-sonnet", 40, 5)])
def test_token_classes_per_question_equal_the_published_ones(emulator, model, sessions, questions):
    """200 questions of each: the first of a session and every later one, to the token; settlement charges no reads."""
    replay = Replay(emulator, model)
    try:
        for _ in range(sessions):
            first, *later = replay.session(questions)
            assert classes(first) == FIRST
            assert [classes(question) for question in later] == [LATER] * (questions - 1)
        burndown = replay.model.quota.output_burndown_ratio
        plain = 600 + 400 * burndown
        assert replay.charged_tokens() == sessions * (9_300 + plain + (questions - 1) * (4_300 + plain))
    finally:
        replay.close()


def their_peak_tpm(calls_per_minute: float, burndown: float, max_tokens: int | None = None) -> float:
    """The documents' own figure: all 9,000 input tokens a call, cache reads included, as at the reservation.

    Right for what is reserved at the start, too high for what is charged at the end.
    """
    output = 100 * burndown + (0 if max_tokens is None else max_tokens - 100)
    return calls_per_minute * (9_000 + output)


@pytest.mark.parametrize(
    ("questions", "burndown", "published", "published_reserved"),
    [(10_000 * 2, 1, 137_879, 198_424), (2_000_000 * 5, 5, 71_969_697, 102_242_424)],
)
def test_their_peak_tpm_is_reproduced(questions, burndown, published, published_reserved):
    """Peak factor 3 over 15,840 active minutes, four calls a question."""
    calls_per_minute = questions * 4 / 15_840 * 3
    assert round(their_peak_tpm(calls_per_minute, burndown)) == published
    assert round(their_peak_tpm(calls_per_minute, burndown, MAX_TOKENS)) == published_reserved


FEW_FILES = resource.getrlimit(resource.RLIMIT_NOFILE)[0] < 2_000


@pytest.mark.skipif(FEW_FILES, reason="a process may open fewer than 2,000 files here: raise it with ulimit -n")
@pytest.mark.parametrize(("config", "reserved", "in_flight"), [({"maxTokens": 1_000}, 1_500, 1_333), ({}, 64_500, 31)])
def test_the_published_example_of_two_million_tpm_in_flight(emulator, config, reserved, in_flight):
    """500 input tokens: so many calls are admitted over the wire and unanswered yet; the next one is throttled."""
    model = models()["claude-sonnet"]
    text = ".".ljust(read_profiles()["claude-sonnet"].tokens.bytes_for(500), ".")
    body = {"messages": [{"role": "user", "content": [{"text": text}]}], "inferenceConfig": config}
    data, path = json.dumps(body).encode(), f"/model/{model.model_id}/converse"
    first = f"POST {path} HTTP/1.1\r\nhost: localhost"
    head = f"{first}\r\ncontent-length: {len(data)}\r\nauthorization: {HEADERS['authorization']}"
    host, port = emulator.url.removeprefix("http://").split(":")
    emulator.control("quotas", {"claude-sonnet": {"tpm": 2_000_000}})
    emulator.control("profiles", {"claude-sonnet": {"ttft": {"base_s": 60.0, "sigma": 0.0}}})
    with ExitStack() as open_calls:
        for _ in range(in_flight):
            wire = open_calls.enter_context(socket.create_connection((host, int(port)), timeout=120))
            wire.sendall(head.encode() + b"\r\n\r\n" + data)
        for _ in range(1_000):
            [window] = emulator.get("/control/quotas")["windows"] or [{"reserved": 0}]
            if window["reserved"] == in_flight * reserved:
                break
        assert window["reserved"] == in_flight * reserved
        status, headers, _ = emulator.post(path, data, HEADERS)
    emulator.control("profiles", {"claude-sonnet": FAST})
    assert (status, headers["x-amzn-ErrorType"]) == (429, "ThrottlingException")
