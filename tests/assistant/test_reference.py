"""examples/conversations/reference.yaml, end to end: HTTP body in, events and store out."""

from pathlib import Path

import pytest
import yaml

from assistant.router import classifier
from facts import reader
from tests.assistant.harness import Harness

FILE = Path(__file__).resolve().parents[2] / "examples" / "conversations" / "reference.yaml"
CONVERSATIONS = yaml.safe_load(FILE.read_text())["conversations"]
BY_NAME = {conversation["name"]: conversation for conversation in CONVERSATIONS}
MODELS = {key: model for key, model in reader.models().items() if key != "planner"}


@pytest.fixture
def staged(catalogue, tmp_path):
    """The assistant with rules and classifier, and no planner to ask."""
    harness = Harness(catalogue, tmp_path, {"router": {"mode": "staged"}}, classifier.load(), models=MODELS)
    yield harness
    harness.close()


@pytest.mark.parametrize("name", BY_NAME)
def test_reference_conversation(staged, name):
    """Route, prefetch, calls, tools with their results, and the store are as the file says."""
    before = BY_NAME[name].get("after")
    if before:
        converse(staged, BY_NAME[before])
    converse(staged, BY_NAME[name])


def converse(harness, conversation):
    pending = None
    for index, turn in enumerate(conversation["turns"]):
        body = {"interaction_id": conversation["name"].replace(" ", "-").replace(",", "").replace("'", "")}
        if "page" in turn:
            body["page"] = {"product_id": turn["page"]}
        if turn.get("image"):
            body["images"] = [{"format": "jpeg", "data": "aGk="}]
        if turn.get("confirm"):
            body["confirm"] = {"token": pending["token"], "accept": True}
        script = [[next(iter(call.items())) for call in calls] for calls in turn["plan"]]
        answer = harness.turn(turn["message"], *script, "There you are.", turn_index=index, **body)
        assert answer.status == 200, answer.body
        pending = answer.one("done")["pending_confirmation"]
        check(harness, answer, turn["expect"])


def check(harness, answer, expect):
    """Every expectation of one turn."""
    meta, requests = answer.one("meta"), harness.model.requests
    found = {
        "intent": meta["intent"],
        "complexity": meta["complexity"],
        "model": meta["route"],
        "prefetch": meta["prefetch"],
        "model_calls": len(answer.all("usage")),
        "tools": [tool["status"] for tool in answer.all("tool")],
        "takes_images": harness.stack.models[meta["route"]].images,
        "cart": {line["product_id"]: line["quantity"] for line in harness.store.cart("c000001")},
        "facts": harness.store.facts("c000001"),
    }
    for key in found.keys() & expect.keys():
        assert found[key] == expect[key], key
    if "rules" in expect:
        rules = harness.rules.of_customer("c000001")
        assert [
            {key: getattr(rule, key) for key in want} for rule, want in zip(rules, expect["rules"], strict=True)
        ] == (expect["rules"])
    for words in expect.get("action", ()):
        assert words in answer.one("done")["pending_confirmation"]["action"]
    for tool, part in expect.get("results", {}).items():
        assert holds(result_of(requests, tool), part), result_of(requests, tool)
    if "prompt_holds" in expect:
        assert expect["prompt_holds"] in str(requests[0].system)


def result_of(requests, tool):
    """The newest result of a tool, as the model was sent it."""
    uses = {}
    for message in requests[-1].messages:
        for block in message["content"]:
            if "toolUse" in block and block["toolUse"]["name"] == tool:
                uses[block["toolUse"]["toolUseId"]] = None
            elif "toolResult" in block and block["toolResult"]["toolUseId"] in uses:
                uses[block["toolResult"]["toolUseId"]] = block["toolResult"]["content"][0]["json"]
    return list(uses.values())[-1]


def holds(value, part):
    """Whether a value holds everything a part names; lists are compared from their start."""
    if isinstance(part, dict):
        return isinstance(value, dict) and all(key in value and holds(value[key], part[key]) for key in part)
    if isinstance(part, list):
        return len(value) >= len(part) and all(holds(one, want) for one, want in zip(value, part, strict=False))
    return value == part


def test_the_file_names_every_reference_conversation():
    """Twelve conversations and the second session of one of them."""
    assert len(BY_NAME) == len(CONVERSATIONS) == 13
