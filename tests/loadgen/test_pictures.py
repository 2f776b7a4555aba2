"""Pictures of one's own questions stand where each kind of target takes them, also in the turn after."""

import json
from pathlib import Path
from random import Random

import pytest

from loadgen.job import TargetSpec
from loadgen.schedule.session import SessionState
from loadgen.schedule.sessions import make_schedule
from loadgen.targets.base import Shared
from loadgen.targets.factory import make_target

PNG = "data:image/png;base64,AA=="
CONVERSE = {"image": {"format": "png", "source": {"bytes": "AA=="}}}
MAPPING = {"format": "text", "url": "http://127.0.0.1:9/ask", "body": {"q": "{message}", "pictures": "{images}"}}
SPECS = {
    "openai": TargetSpec("openai", "http://127.0.0.1:9/v1", model="m"),
    "bedrock": TargetSpec("bedrock", "http://127.0.0.1:9", model="m"),
    "http": TargetSpec("http", "http://127.0.0.1:9/ask", mapping=MAPPING),
    "assistant": TargetSpec("assistant", "http://127.0.0.1:9"),
}


def asked(make_job, kind, *, images) -> dict:
    """The body of a session's first question, and of the same one put again as the next turn."""
    job = make_job(SPECS[kind])
    messages = json.loads(Path(job.messages).read_text())["messages"]
    known = {message["id"]: message | ({"images": [PNG]} if images else {}) for message in messages}
    target = make_target(SPECS[kind], Shared(job, known, Random(1)))
    target.prepare([], None)
    state = SessionState(make_schedule(job, messages).session(0), None, target, "salt")
    bodies = [json.loads(target.turn(state)[0].partition(b"\r\n\r\n")[2]) for _ in range(2)]
    assert json.dumps(bodies[0]).count("AA==") == images
    return bodies[1]


@pytest.mark.parametrize("kind", SPECS)
def test_a_picture_is_sent_where_the_target_takes_it(make_job, kind):
    body = asked(make_job, kind, images=True)
    if kind == "openai":
        assert [message["content"][1]["image_url"]["url"] for message in body["messages"]] == [PNG, PNG]
    elif kind == "bedrock":
        assert [message["content"][0] for message in body["messages"]] == [CONVERSE, CONVERSE]
    elif kind == "http":
        assert body["pictures"] == [PNG]
    else:
        assert body["images"] == [{"format": "png", "data": "AA=="}]


@pytest.mark.parametrize("kind", SPECS)
def test_without_one_nothing_of_it_is_sent(make_job, kind):
    body = asked(make_job, kind, images=False)
    assert "image" not in json.dumps(body)
    if kind == "openai":
        assert {type(message["content"]) for message in body["messages"]} == {str}
