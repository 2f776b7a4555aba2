"""The scenarios' worlds and our tools fit each other: every planned call is one we have, with arguments we take."""

import pytest
import yaml

from assistant.shop.catalogue import Catalogue
from assistant.tools import schema
from assistant.tools.registry import TOOLS
from scenarios.loading import load_scenario
from scenarios.world import ensure_world

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """The smoke scenario's world."""
    return ensure_world(load_scenario("smoke"), tmp_path_factory.mktemp("world"))


def test_every_planned_call_fits_its_tool(world):
    """Placeholders stand for product ids; everything else is literal."""
    answers = yaml.load(world.conversations.read_text(), Loader=_LOADER)["answers"]
    calls = [call for plan in answers.values() for calls in plan["rounds"] for call in calls]
    assert {call["tool"] for call in calls} <= TOOLS.keys()
    problems = {schema.problem(TOOLS[call["tool"]].schema, call["input"]) for call in calls}
    assert problems == {None}
    assert len({call["tool"] for call in calls}) >= 12


def test_the_catalogue_opens_with_the_world_s_clock(world):
    """Its today, its documents and its products are there."""
    catalogue = Catalogue(world.catalogue)
    assert catalogue.started_at.tzinfo is not None
    assert catalogue.documents()
    assert catalogue.search(catalogue.documents()[0]["title"], 3, None, {})
    catalogue.close()
