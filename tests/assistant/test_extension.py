"""Another model, another marketplace: an entry in models.yaml and no Python."""

import json
from pathlib import Path

import pytest
import yaml

from facts import reader

SHIPPED = reader.data_path("models.yaml").read_text(encoding="utf-8")


@pytest.fixture
def extended(tmp_path):
    """models.yaml with a text-only Bedrock model of another family, and a French marketplace that allows only some."""
    raw = yaml.safe_load(SHIPPED)
    raw["models"]["new-claude"] = {
        **raw["models"]["claude-sonnet"],
        "model_id": "eu.anthropic.claude-new-v1:0",
        "cache_rule": "claude-opus-4-5",
        "images": False,
    }
    raw["marketplaces"]["fr_FR"] = {
        "name": "France",
        "currency": "EUR",
        "regions": ["eu-west-3"],
        "language": "French",
        "models": ["new-claude", "nova-pro"],
    }
    path: Path = tmp_path / "models.yaml"
    path.write_text(json.dumps(raw))
    return {"models": reader.models(path), "marketplaces": reader.marketplaces(path)}


def test_a_model_added_in_yaml_answers(make, extended):
    """Policy names it, its id is asked for, its price counts, its cache rule decides the points."""
    shop = make({"policy": {"simple": "new-claude", "complex": "new-claude"}}, **extended)
    answer = shop.turn("hello")
    assert answer.one("usage")["model"] == "new-claude"
    assert shop.model.requests[0].model.model_id == "eu.anthropic.claude-new-v1:0"
    assert answer.one("usage")["cost_usd"] > 0
    # 4,096 tokens at least: the shared part alone is too short for this rule.
    assert "cachePoint" not in str(shop.model.requests[0].system)


def test_a_marketplace_added_in_yaml_is_served(make, extended):
    """Its language reaches the prompt with the currency that is charged, and only its models answer."""
    shop = make(**extended)
    answer = shop.turn("bonjour", locale="fr_FR")
    assert answer.one("meta")["route"] in ("new-claude", "nova-pro")
    assert {"text": "Answer in French. Prices are in USD."} in shop.model.requests[0].system


def test_a_picture_goes_to_a_model_that_takes_it_within_the_marketplace(make, extended):
    """Of the two models allowed there, one takes pictures."""
    shop = make({"policy": {"simple": "new-claude", "complex": "new-claude"}}, **extended)
    answer = shop.turn("joli ?", locale="fr_FR", images=[{"format": "png", "data": "aGk="}])
    assert answer.one("meta")["route"] == "nova-pro"


def test_a_picture_that_no_model_takes_is_refused(make, extended):
    """400 that names the field, before any model is asked."""
    only = {"models": {"custom-8b": extended["models"]["custom-8b"]}}
    shop = make({"policy": {"simple": "custom-8b", "complex": "custom-8b"}}, **only)
    answer = shop.turn("nice?", images=[{"format": "png", "data": "aGk="}])
    assert (answer.status, answer.error["field"]) == (400, "images")
    assert shop.model.requests == []
