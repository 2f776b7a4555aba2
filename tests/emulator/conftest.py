"""One fast emulator process for all tests of this folder."""

import json
import sys
import urllib.error
import urllib.request
from hashlib import sha256
from pathlib import Path

import pytest

from host import processes
from host.yaml_text import dump_yaml

ROOT = Path(__file__).parents[2]
WORDS = "what did this cost in May?"
ORDERS = "where are my orders?"
WORKED = "the question of the worked example"
WORKED_INPUT_CHARS = {"nova-pro": 440 - 18, "claude-sonnet": 380 - 18}
"""Characters that make `lookup{"query":"..."}` exactly 100 tokens of the model."""
FAST = {"ttft": {"base_s": 0.005, "sigma": 0.0}, "gap": {"gap_s": 0.001, "sigma": 0.0}}
QUICK_STEP = {"step": {"a": 0.001, "b": 1e-6, "c": 1e-6}, "engine": {"ttft_overhead_s": 0.001}}


@pytest.fixture(scope="session")
def openai():
    """The official package: most of a second to import, and only some files need it."""
    import openai

    return openai


class Emulator:
    """A running process and its address."""

    def __init__(self, url: str, pid: int) -> None:
        self.url, self.pid = url, pid

    def get(self, path: str):
        with urllib.request.urlopen(self.url + path) as answer:
            return json.loads(answer.read())

    def post(self, path: str, body, headers=None):
        """(status, headers, body bytes) of a JSON request."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"} | (headers or {})
        request = urllib.request.Request(self.url + path, data=data, headers=headers)
        try:
            with urllib.request.urlopen(request) as answer:
                return answer.status, answer.headers, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.headers, error.read()

    def control(self, name: str, body):
        status, _, answer = self.post(f"/control/{name}", body)
        assert status == 200, answer
        return json.loads(answer)


def write_stack(folder: Path) -> Path:
    """A stack file with fast profiles and a small conversation file."""
    rounds = [[{"tool": "price_history", "input": {"product_id": "$page_product", "days": 90}}]]
    three = [{"tool": name, "input": {"query": "x"}} for name in ("order_history", "catalogue_search", "recall")]
    answers = {
        sha256(WORDS.encode()).hexdigest(): {"rounds": rounds, "answer_tokens": 30, "label": "price_history simple"},
        sha256(ORDERS.encode()).hexdigest(): {"rounds": [three], "answer_tokens": 12},
    }
    for model, padding in WORKED_INPUT_CHARS.items():
        lookup = [{"tool": "lookup", "input": {"query": "x" * padding}}]
        words = f"{WORKED}, asked of {model}".encode()
        answers[sha256(words).hexdigest()] = {"rounds": [lookup] * 3, "answer_tokens": 100}
    plans = {"schema": "peakday.conversations/1", "answers": answers, "default": {"rounds": [], "answer_tokens": 20}}
    (folder / "conversations.yaml").write_text(dump_yaml(plans))
    profiles = {"schema": "peakday.emulator/1", "profiles": {}}
    for name in ("nova-2-lite", "nova-pro", "claude-sonnet"):
        profiles["profiles"][name] = FAST
    for name in ("custom-8b/trn2", "planner"):
        profiles["profiles"][name] = QUICK_STEP
    (folder / "profiles.yaml").write_text(dump_yaml(profiles))
    stack = {
        "schema": "peakday.stack/1", "seed": 1, "regions": ["us-east-1"], "profiles": str(folder / "profiles.yaml"),
        "data": {"conversations": str(folder / "conversations.yaml")},
    }  # fmt: skip
    (folder / "stack.json").write_text(json.dumps(stack))
    return folder / "stack.json"


def start(folder: Path) -> processes.Child:
    """The process of `python -m emulator` on a free port."""
    command = [sys.executable, "-m", "emulator", "--stack", str(write_stack(folder)), "--port", "0"]
    return processes.start("emulator", command, folder=ROOT, watched=True, stdout=True)


@pytest.fixture(scope="session")
def process(tmp_path_factory):
    running = start(tmp_path_factory.mktemp("emulator"))
    ready = running.ready()
    yield Emulator(ready["url"], ready["pid"])
    running.stop(within_s=300)
    assert running.end is not None
    assert running.end.exit_code == 0


@pytest.fixture
def emulator(process):
    """The process with nothing cached, no quota and no fault; faults that are set count from now."""
    process.control("reset", {})
    process.control("t0", {})
    process.control("quotas", {})
    process.control("faults", [])
    return process
