"""The assistant in front of the emulator, over HTTP: in processes of their own where that is what is tested."""

import http.client
import json
import signal
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import yaml

from assistant.ask import ask, new_session
from assistant.errors import AssistantError
from assistant.quality.ablation import AskedTurn, ablate, summary
from facts import reader
from tests.assistant.processes import in_a_thread, lead_to, start, start_emulator, write_stack

ORDERS, THREE, ROUNDS = "where are my previous orders", "compare these three", "compare them step by step"
PLANS = {
    ORDERS: {"rounds": [[{"tool": "order_history", "input": {}}]], "answer_tokens": 20},
    THREE: {
        "rounds": [[{"tool": "product_details", "input": {"product_id": f"p00000{i}"}} for i in (1, 3, 7)]],
        "answer_tokens": 20,
    },
    ROUNDS: {
        "rounds": [[{"tool": "product_details", "input": {"product_id": f"p00000{i}"}}] for i in (1, 3)],
        "answer_tokens": 20,
    },
}


def profiles():
    """An emulator that hardly waits."""
    part = {"per_uncached_token_s": 0, "per_cached_token_s": 0, "sigma": 0, "source": "test"}
    quick = {
        "physics": "provider",
        "ttft": {"base_s": 0.002, **part},
        "gap": {"gap_s": 0.0005, "sigma": 0, "tokens_per_chunk": 1, "source": "test"},
        "load": {"slow_at_in_flight": 2000, "source": "test"},
        "tokens": {"bytes_per_token": 4.0, "image_tokens": 100, "source": "test"},
        "cache": {"lookback_blocks": 0, "shards": 1, "source": "test"},
    }
    models = ("nova-2-lite", "nova-pro", "claude-sonnet", "custom-8b", "planner")
    return {
        "schema": "peakday.emulator/1",
        "models": dict.fromkeys(models, "quick"),
        "profiles": {"quick": quick},
    }


@pytest.fixture(scope="module")
def emulator(tmp_path_factory):
    """The address of an emulator of every model, which the assistants of this module share."""
    child, url = start_emulator(tmp_path_factory.mktemp("emulator"), [*reader.models()], PLANS, profiles())
    yield url
    child.stop()


@pytest.fixture(scope="module")
def up(emulator, tmp_path_factory):
    """Starts an assistant before an emulator that has cached nothing: `with up(model, switches) as url`."""

    @contextmanager
    def run(model, switches=None):
        policy = {"policy": {"simple": model, "complex": model}}
        folder = tmp_path_factory.mktemp("stack")
        headers = {"Content-Type": "application/json"}
        urllib.request.urlopen(urllib.request.Request(f"{emulator}/control/reset", b"{}", headers)).close()
        with in_a_thread(folder, [model], policy | (switches or {}), PLANS, emulator) as url:
            yield url

    return run


def usages(url, message, **more):
    events = list(ask(url, message, "c000001", **more))
    assert events[-1]["event"] == "done", events[-1]
    return [event for event in events if event["event"] == "usage"]


@pytest.mark.parametrize("model", [key for key in reader.models() if key != "planner"])
def test_every_model_accepts_our_requests(up, model):
    """The emulator validates as the provider does: three rounds and a second turn pass."""
    with up(model) as url:
        calls = usages(url, ROUNDS, interaction_id="a")
        assert [call["purpose"] for call in calls] == ["tool_round", "tool_round", "answer"]
        again = usages(url, "and now?", interaction_id="a", turn_index=1)
    if not reader.models()[model].cache.points:
        return
    # Calls 2 and 3 read what the call before had written, and the next turn reads the first one's history.
    written = calls[0]["cache_read_tokens"] + calls[0]["cache_write_tokens_5m"]
    for call in [*calls[1:], *again]:
        assert call["cache_read_tokens"] == written
        written += call["cache_write_tokens_5m"]


PNG = bytes.fromhex("89504e470d0a1a0a0000000d4948445200000001000000010806000000")


@pytest.mark.parametrize("model", ["claude-sonnet", "nova-pro", "nova-2-lite"])
def test_a_picture_in_the_question_is_accepted_and_counted(up, tmp_path, model):
    """The emulator takes the image block and counts its tokens; the same words without it are that much shorter."""
    picture = tmp_path / "lamp.png"
    picture.write_bytes(PNG)
    with up(model, {"context": {"prefetch": False}, "cache": {"points": False}}) as url:
        plain, *_ = usages(url, "would this lamp suit a desk", interaction_id="a")
        seen, *_ = usages(url, "would this lamp suit a desk", interaction_id="b", images=(picture,))
    assert (seen["model"], seen["status"]) == (model, "ok")
    assert seen["input_tokens"] - plain["input_tokens"] == profiles()["profiles"]["quick"]["tokens"]["image_tokens"]


def test_a_model_and_a_marketplace_from_yaml_alone_answer_on_the_stack(tmp_path):
    """Both processes read the file: the new model answers in the new marketplace, and a picture goes past it."""
    raw = yaml.safe_load(reader.data_path("models.yaml").read_text(encoding="utf-8"))
    raw["models"]["new-claude"] = raw["models"]["claude-sonnet"] | {
        "model_id": "eu.anthropic.new-v1:0",
        "images": False,
    }
    raw["marketplaces"]["fr_FR"] = {
        "name": "France", "currency": "EUR", "regions": ["eu-west-3"], "language": "French",
        "models": ["new-claude", "nova-pro"],
    }  # fmt: skip
    models_file, picture = tmp_path / "models.yaml", tmp_path / "lampe.png"
    models_file.write_text(json.dumps(raw))
    picture.write_bytes(PNG)
    paced = profiles()
    paced["models"]["new-claude"] = "quick"
    switches = {"policy": {"simple": "new-claude", "complex": "new-claude"}}
    stack = start(tmp_path, ["new-claude", "nova-pro", "claude-sonnet"], switches, PLANS, paced, models_file)
    try:
        words, *_ = usages(stack.url, "bonjour", locale="fr_FR", interaction_id="a")
        seen, *_ = usages(stack.url, "joli ?", locale="fr_FR", interaction_id="b", images=(picture,))
    finally:
        stack.stop()
    assert (words["model"], words["status"]) == ("new-claude", "ok")
    assert words["cost_usd"] > 0
    assert (seen["model"], seen["status"]) == ("nova-pro", "ok")


def test_the_boto3_client_makes_the_same_turn(up):
    """`client: boto3` changes how Bedrock is called, and neither calls, tokens nor cost."""
    same = ("purpose", "status", "model", "input_tokens", "cache_read_tokens", "cache_write_tokens_5m",
            "output_tokens", "stop_reason", "attempts", "cost_usd")  # fmt: skip
    rows = {}
    for client in ("fast", "boto3"):
        with up("claude-sonnet", {"client": client}) as url:
            rows[client] = [[call[column] for column in same] for call in usages(url, ROUNDS, interaction_id="a")]
    assert len(rows["boto3"]) == 3
    assert rows["boto3"] == rows["fast"]


def test_ablation_counts(up):
    """Prefetch saves a call, parallel tools save two, and without points nothing is cached."""
    turns = [AskedTurn(ORDERS, "a"), AskedTurn(THREE, "b")]
    found = ablate(lambda switches: up("nova-pro", switches), turns, time.perf_counter)
    calls = {name: [one.model_calls for one in figures] for name, figures in found.items()}
    assert calls == {
        "as configured": [1, 2],
        "context.prefetch off": [2, 2],
        "tools.parallel off": [1, 4],
        "cache.points off": [1, 2],
    }
    assert summary(found["cache.points off"])["cache_read_tokens"] == 0
    assert summary(found["as configured"])["cache_read_tokens"] > 0


def test_ask_says_in_one_line_what_is_wrong(up):
    """No assistant, and no such customer."""
    with pytest.raises(AssistantError, match="does not answer"):
        new_session("http://127.0.0.1:1", "c000001")
    with up("nova-pro") as url, pytest.raises(AssistantError, match="there is no customer 'nobody'"):
        new_session(url, "nobody")


def test_a_client_that_goes_away_does_not_block_its_conversation(up):
    """After a disconnect in mid-answer the next turn of the same interaction is served."""
    with up("nova-pro") as url:
        token = new_session(url, "c000001")
        connection = http.client.HTTPConnection(url.removeprefix("http://"))
        body = json.dumps({"interaction_id": "i", "turn_index": 0, "message": THREE})
        connection.request("POST", "/v1/turns", body, {"Authorization": f"Bearer {token}"})
        with connection.getresponse() as response:
            response.read1(10)
        connection.close()
        deadline_s = time.monotonic() + 300
        while time.monotonic() < deadline_s:
            with suppress(AssistantError):  # turn_in_progress, until the disconnect is noticed
                assert list(ask(url, "still there?", session_token=token, interaction_id="i", turn_index=1))
                return
        pytest.fail("the conversation stayed busy")


def test_termination_drains_and_exits_with_zero(tmp_path):
    """A turn under way ends properly after SIGTERM; then the process is gone."""
    policy = {"policy": {"simple": "nova-pro", "complex": "nova-pro"}}
    stack = start(tmp_path, ["nova-pro"], policy, PLANS, profiles())
    try:
        events = ask(stack.url, THREE, "c000001")
        assert next(events)["event"] == "meta"
        stack.assistant.send(signal.SIGTERM)
        assert list(events)[-1]["event"] == "done"
        end = stack.assistant.wait(300.0)
        assert end is not None
        assert end.exit_code == 0
    finally:
        stack.stop()


def test_the_assistant_ends_with_its_parent(tmp_path):
    """An orphan exits by itself."""
    policy = {"policy": {"simple": "nova-pro", "complex": "nova-pro"}}
    path = write_stack(tmp_path, ["nova-pro"], policy, PLANS)
    lead_to(path, "http://127.0.0.1:1")
    script = (
        "import subprocess, sys; p = subprocess.Popen([sys.executable, '-m', 'assistant.server', '--stack',"
        " sys.argv[1], '--port', '0'], stdout=subprocess.PIPE); p.stdout.readline(); print(p.pid)"
    )
    pid = int(subprocess.check_output([sys.executable, "-c", script, str(path)], text=True))
    deadline_s = time.monotonic() + 300
    while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline_s:
        time.sleep(0.05)
    assert not Path(f"/proc/{pid}").exists()
