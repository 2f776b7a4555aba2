"""The pages say what the code does."""

import re
from pathlib import Path

from assistant.app import App
from assistant.metrics import Metrics
from assistant.requests import _TURN_KEYS

DOCS = Path(__file__).resolve().parents[2] / "docs"


def test_every_endpoint_is_documented(shop):
    """docs/api.md names each method and path."""
    text = (DOCS / "api.md").read_text()
    assert isinstance(shop.app, App)
    assert all(f"`{method} {path}`" in text for method, path in shop.app._routes)


def test_every_key_of_a_turn_is_documented():
    """And no other key is."""
    rows = re.findall(r"^\| `(\w+)` \|", (DOCS / "api.md").read_text().split("## Turns")[1].split("| event")[0], re.M)
    assert set(rows) == _TURN_KEYS


def test_every_event_s_payload_is_documented(shop):
    """meta, tool and done carry exactly the keys of the page."""
    answer = shop.turn("any boots?", [("catalogue_search", {"query": "boots"})], "Yes.")
    page = (DOCS / "api.md").read_text()
    for name in ("meta", "tool", "done"):
        row = re.search(rf"^\| `{name}`.*$", page, re.M)[0]
        assert set(answer.one(name)) <= set(re.findall(r"`(\w+)`", row)), name


def test_every_metric_is_documented():
    """docs/assistant.md names each family as Prometheus shows it."""
    text = (DOCS / "assistant.md").read_text()
    families = re.findall(r"^# TYPE (\S+) (?:counter|gauge|histogram)$", Metrics().text().decode(), re.M)
    assert [name for name in families if not name.endswith("_created") and f"`{name}`" not in text] == []
