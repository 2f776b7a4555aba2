"""The words of the shoppers: enough of them, varied, and held-out ones apart."""

import csv
import re
from collections import Counter

import pytest

from facts.intents import COMPLEXITIES, INTENTS
from scenarios.shop import shop_words
from scenarios.utterance_files import PARTS, utterances

SHOPPING = (
    "product_question", "comparison", "recommendation", "price_history", "price_alert", "auto_buy", "reorder",
    "account_memory", "web_lookup",
)  # fmt: skip


def grams(text, n=5):
    words = re.findall(r"[a-z0-9']+", text.lower())
    return {tuple(words[i : i + n]) for i in range(len(words) - n + 1)}


@pytest.mark.parametrize("intent", INTENTS)
def test_there_are_enough_phrasings(intent):
    """60 for the nine shopping intents, 20 for the others, 15 held out."""
    found = utterances(intent)
    assert len(found["train"]) >= (60 if intent in SHOPPING else 20)
    assert len(found["held_out"]) >= 15


@pytest.mark.parametrize("intent", INTENTS)
def test_entries_hold_known_marks_only(intent):
    """Text, complexity and the marks of the page, and items that the catalogue sells."""
    items = {item for entry in shop_words()["categories"].values() for item in entry["items"]}
    for part in PARTS:
        for entry in utterances(intent)[part]:
            assert set(entry) <= {"text", "complexity", "item", "page", "follow_up", "image", "confirm"}
            assert entry["complexity"] in COMPLEXITIES
            assert entry.get("item", next(iter(items))) in items
            assert entry.get("item", "") in entry["text"]


def test_no_two_utterances_are_the_same():
    """Words, not punctuation, make an utterance."""
    texts = [
        " ".join(re.findall(r"\w+", entry["text"].lower()))
        for intent in INTENTS
        for part in PARTS
        for entry in utterances(intent)[part]
    ]
    assert [text for text, n in Counter(texts).items() if n > 1] == []


def test_held_out_phrasings_share_no_run_of_five_words_with_trained_ones():
    """A classifier cannot have seen them."""
    trained = set().union(*(grams(e["text"]) for intent in INTENTS for e in utterances(intent)["train"]))
    held_out = [e["text"] for intent in INTENTS for e in utterances(intent)["held_out"]]
    assert [text for text in held_out if grams(text) & trained] == []


def test_nothing_is_copied_from_the_routing_examples(traces):
    """No run of five words of any utterance stands in routing_dev.csv."""
    with open(traces / "routing_dev.csv") as file:
        seen = set().union(*(grams(row["text"]) for row in csv.DictReader(file)))
    ours = [e["text"] for intent in INTENTS for part in PARTS for e in utterances(intent)[part]]
    assert [text for text in ours if grams(text) & seen] == []
