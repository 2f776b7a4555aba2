"""The world a scenario happens in, as three files: `catalogue.sqlite`, `conversations.yaml`, `messages.json`."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from facts.intents import INTENTS
from host.atomic import folder_aside
from scenarios import shop as shops
from scenarios import tool_plans
from scenarios.schema import Scenario
from scenarios.seeds import random_stream
from scenarios.sessions import Message
from scenarios.utterance_files import PARTS, Utterance, utterances

VERSION = 6
"""Raise it when the same keys and seed would give another world."""

CONFIRMABLE = ("price_alert", "auto_buy", "order_change", "returns_refunds")
ACCEPTS = ("yes", "yes please do", "yep go ahead", "ok confirm", "sure, do it")
DECLINES = ("no", "no dont", "actually nevermind", "cancel that, not now", "nope")

_TABLES = {
    "products": "product_id TEXT PRIMARY KEY, title TEXT, brand TEXT, category TEXT, description TEXT, "
    "attributes TEXT, price REAL, currency TEXT, rating REAL, review_count INT, in_stock INT, delivery_days INT",
    "price_history": "product_id TEXT, day TEXT, price REAL",
    "reviews": "product_id TEXT, review_id TEXT, stars INT, title TEXT, body TEXT, author TEXT",
    "customers": "customer_id TEXT PRIMARY KEY, name TEXT, locale TEXT, zip_code TEXT, default_payment TEXT, "
    "default_address TEXT, segment TEXT",
    "orders": "order_id TEXT PRIMARY KEY, customer_id TEXT, ordered_at TEXT, status TEXT, total REAL",
    "order_items": "order_id TEXT, product_id TEXT, quantity INT, price REAL",
    "browsing": "customer_id TEXT, product_id TEXT, viewed_at TEXT",
    "documents": "doc_id TEXT PRIMARY KEY, url TEXT, title TEXT, body TEXT",
    "auto_buy_rules": "rule_id TEXT PRIMARY KEY, customer_id TEXT, product_id TEXT, target_price REAL, quantity INT",
    "storm_ticks": "at_s REAL, product_id TEXT, price REAL",
    "meta": "key TEXT PRIMARY KEY, value TEXT",
}
_INDEXES = {
    "price_history": "product_id, day",
    "reviews": "product_id",
    "orders": "customer_id, ordered_at",
    "order_items": "order_id",
    "browsing": "customer_id, viewed_at",
}


@dataclass(frozen=True)
class World:
    """Paths of the world's files."""

    catalogue: Path
    conversations: Path
    messages: Path


def world_key(scenario: Scenario) -> str:
    """16 hex digits over all that shapes the world: its keys, start, locales, words, rule storms, seed and version."""
    locales = sorted({locale for region in scenario.event.regions.values() for locale in region.locales})
    words = [hashlib.sha256(repr(utterances(intent)).encode()).hexdigest() for intent in INTENTS]
    storms = [storm.model_dump() for storm in scenario.demand.background.rule_storms]
    start = scenario.event.start_utc.isoformat()
    parts = [VERSION, scenario.seed, scenario.world.model_dump(), start, locales, words, storms]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def ensure_world(scenario: Scenario, folder: Path) -> World:
    """The scenario's world under `folder/KEY`, made when it is not there yet.

    A half-made world is never seen: files are written aside and the folder is renamed into place, so two processes may
    ask for the same world at once.
    """
    home = folder / world_key(scenario)
    world = World(home / "catalogue.sqlite", home / "conversations.yaml", home / "messages.json")
    if home.is_dir():
        return world
    with contextlib.suppress(FileExistsError), folder_aside(home) as aside:  # another process may be faster
        shop = shops.make_shop(scenario.world, scenario.event.start_utc, scenario.seed)
        _write_catalogue(aside / "catalogue.sqlite", scenario, shop)
        messages = make_messages(scenario, shop)
        (aside / "messages.json").write_text(
            json.dumps({"schema": "peakday.messages/1", "messages": [entry for entry, _ in messages]}) + "\n"
        )
        (aside / "conversations.yaml").write_text(_conversations(scenario, messages), encoding="utf-8")
    return world


def _write_catalogue(path: Path, scenario: Scenario, shop: shops.Shop) -> None:
    customers, seed = scenario.world.customers, scenario.seed
    locales = list(dict.fromkeys(locale for region in scenario.event.regions.values() for locale in region.locales))
    storms = scenario.demand.background.rule_storms
    orders, order_items = shops.order_rows(shop, customers, seed)
    contents: dict[str, Iterable[shops.Row]] = {
        "products": itertools.chain(shop.products, shops.showroom_rows(shop)),
        "price_history": itertools.chain(shops.price_rows(shop), shops.showroom_price_rows(shop)),
        "reviews": itertools.chain(shops.review_rows(shop, seed), shops.showroom_review_rows(shop)),
        "customers": shops.customer_rows(customers, locales, seed),
        "orders": orders,
        "order_items": order_items,
        "browsing": shops.browsing_rows(shop, customers, seed),
        "documents": shops.document_rows(shop),
        "auto_buy_rules": shops.storm_rules(shop, storms, customers),
        "storm_ticks": shops.storm_ticks(shop, storms),
        "meta": [("now", shop.now.strftime("%Y-%m-%dT%H:%M:%SZ")), ("seed", str(seed)), ("version", str(VERSION))],
    }
    connection = sqlite3.connect(path)
    try:
        connection.execute("PRAGMA journal_mode = OFF")
        connection.execute("PRAGMA synchronous = OFF")
        for table, columns in _TABLES.items():
            connection.execute(f"CREATE TABLE {table} ({columns})")
            marks = ", ".join("?" * len(columns.split(",")))
            connection.executemany(f"INSERT INTO {table} VALUES ({marks})", contents[table])  # noqa: S608 (our names)
        for table, columns in _INDEXES.items():
            connection.execute(f"CREATE INDEX {table}_by ON {table} ({columns})")
        connection.commit()
    finally:
        connection.close()


def make_messages(scenario: Scenario, shop: shops.Shop) -> list[tuple[Message, Utterance]]:
    """Every message with the utterance behind it: up to messages_per_intent phrasings of each intent, and yes and no.

    A phrasing that leans on a product page gets a page, popular products more often.
    """
    rng = random_stream(scenario.seed, "messages")
    found: list[tuple[Message, Utterance]] = []
    for intent in INTENTS:
        phrasings = [entry for part in PARTS for entry in utterances(intent)[part]]
        chosen = rng.permutation(len(phrasings))[: scenario.world.messages_per_intent]
        pages = rng.choice(len(shop.items), size=len(chosen), p=shop.popularity)
        for number, (index, page) in enumerate(zip(sorted(chosen.tolist()), pages.tolist(), strict=True)):
            found.append(_message(f"{intent}-{number:03d}", intent, phrasings[index], shops.product_id(page)))
        if intent in CONFIRMABLE:
            for answers, texts in (("accept", ACCEPTS), ("decline", DECLINES)):
                for number, text in enumerate(texts):
                    entry, utterance = _message(
                        f"{intent}-{answers}-{number}", intent, {"text": text, "complexity": "simple"}, None
                    )
                    found.append(({**entry, "answers": answers}, {**utterance, "answers": answers}))
    return found


def _message(message_id: str, intent: str, utterance: Utterance, page: str | None) -> tuple[Message, Utterance]:
    message: Message = {
        "id": message_id,
        "intent": intent,
        "complexity": utterance["complexity"],
        "text": utterance["text"],
        "page_product_id": page if utterance.get("page") else None,
        "image": bool(utterance.get("image")),
        "follow_up": bool(utterance.get("follow_up")),
        "confirm": bool(utterance.get("confirm")),
    }
    return message, utterance


def _conversations(scenario: Scenario, messages: list[tuple[Message, Utterance]]) -> str:
    """The emulator's script, an entry a line, in JSON's subset of YAML; the same words always get the same answer.

    `label` is what the emulated planner answers to a request to route: a model that is never wrong.
    """
    rng = random_stream(scenario.seed, "answers")
    lines = ["schema: peakday.conversations/1", "default: {rounds: [], answer_tokens: 120}", "answers:"]
    seen: set[str] = set()
    for message, utterance in messages:
        factor = float(np.exp(0.35 * rng.standard_normal()))  # spread of answer lengths: assumed
        if message["text"] in seen:
            continue
        seen.add(message["text"])
        answers = bool(utterance.get("answers"))
        median = 40.0 if answers else tool_plans.answer_tokens(message["intent"], utterance)
        script = {
            "rounds": [] if answers else tool_plans.plan(message["intent"], utterance),
            "answer_tokens": max(5, round(median * factor)),
            "ground": message["intent"] == "web_lookup",
            "label": f"{message['intent']} {message['complexity']}",
        }
        key = hashlib.sha256(message["text"].encode("utf-8")).hexdigest()
        lines.append(f"  # {message['text']}\n  {key}: {json.dumps(script)}")
    return "\n".join(lines) + "\n"
