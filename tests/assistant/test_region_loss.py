"""A region goes down under the running processes: the emulator cuts its connections, and the assistant moves on."""

import json
import urllib.request
from pathlib import Path

import pytest

from assistant.ask import ask
from tests.assistant.processes import start
from tests.assistant.test_stack import PLANS, profiles

LOST = {"kind": "region_down", "region": "us-east-1", "length_s": 3_600}


@pytest.fixture(scope="module", params=["fast", "boto3"])
def up(request, tmp_path_factory):
    """Both processes in two regions: (URL of the assistant, a way to set the faults)."""
    folder = tmp_path_factory.mktemp("regions")
    switches = {
        "client": request.param,
        "policy": {"simple": "claude-sonnet", "complex": "claude-sonnet"},
        "fallback": {"max_hops": 2, "chains": {"claude-sonnet": ["nova-pro"]}},
    }
    stack = start(folder, ["claude-sonnet", "nova-pro"], switches, PLANS, profiles())
    yield stack.url, setter(folder)
    stack.stop()


def setter(folder: Path):
    """Sets the faults of the emulator of a stack."""
    url = json.loads((folder / "stack.json").read_text())["endpoints"]["bedrock"]

    def set_faults(faults):
        body = json.dumps(faults).encode()
        json_body = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{url}/control/faults", data=body, headers=json_body)
        with urllib.request.urlopen(request) as answer:
            assert answer.status == 200

    return set_faults


def calls(url, interaction_id):
    """(model, region, status, reason) of each model call of a turn; the turn is answered."""
    events = list(ask(url, "hello there", "c000001", interaction_id=interaction_id))
    assert events[-1]["event"] == "done", events[-1]
    return [
        (event["model"], event["region"], event["status"], event["error_code"])
        for event in events
        if event["event"] == "usage"
    ]


def test_a_lost_region_is_failed_over_passed_by_and_then_throttling_spills(up):
    """One lost call, then none: later turns go to the other region at once. Its throttling goes along the chain there;
    with both regions lost the turn fails and says why."""
    url, set_faults = up
    assert calls(url, "before") == [("claude-sonnet", "us-east-1", "ok", None)]
    set_faults([LOST])
    assert calls(url, "lost") == [
        ("claude-sonnet", "us-east-1", "http_error", "connect_error"),
        ("claude-sonnet", "us-west-2", "ok", None),
    ]
    assert calls(url, "after") == [("claude-sonnet", "us-west-2", "ok", None)]
    set_faults([LOST, {"kind": "throttle", "model": "claude-sonnet", "region": "us-west-2", "length_s": 3_600}])
    assert calls(url, "throttled") == [
        ("claude-sonnet", "us-west-2", "throttled", "ThrottlingException"),
        ("nova-pro", "us-west-2", "ok", None),
    ]
    set_faults([LOST, {**LOST, "region": "us-west-2"}])
    with pytest.raises(Exception, match=r"cannot be reached|503"):
        list(ask(url, "hello there", "c000001", interaction_id="none"))
