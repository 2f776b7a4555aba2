"""What each customer does: sessions, interactions, turns, waits, and which words. numpy and stdlib only.

The content of session i depends on (i, seed) only: sessions are drawn in blocks of fixed size, each from its own
random stream, so the union over workers never depends on how many there are.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from typing import NamedTuple, NotRequired, TypedDict

import numpy as np
from numpy.typing import NDArray

from scenarios.resolved import CountValues, MixValues, Resolved, WaitValues
from scenarios.seeds import random_stream

BLOCK = 1024

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

_KINDS = ("plain", "page", "image", "follow_up", "accept", "decline")
# Where a wanted kind of message has no words in an intent: what is used in its place, in order.
_INSTEAD = {
    "plain": ("page",),
    "page": ("plain",),
    "image": ("plain", "page"),
    "follow_up": ("plain", "page"),
    "accept": (),
    "decline": (),
}


class Message(TypedDict):
    """One of messages.json. answers: accept or decline; conversation, weight: of a user's own questions."""

    id: str
    intent: str
    complexity: str
    text: str
    page_product_id: str | None
    image: bool
    follow_up: bool
    confirm: bool
    answers: NotRequired[str]
    conversation: NotRequired[int]
    weight: NotRequired[float]
    max_tokens: NotRequired[int | None]


class Turn(NamedTuple):
    """A message. think_s: wait after the previous answer (thinking and typing), 0 for an interaction's first turn.

    patience_s: leave when no first token has come by then; None waits for ever. confirm: the answer to a pending
    write, True to accept and False to decline; None when this turn answers none.
    """

    message_id: str
    think_s: float
    patience_s: float | None
    confirm: bool | None


class Interaction(NamedTuple):
    """One conversation. delay_s: wait after the end of the session's previous one, 0 for its first."""

    delay_s: float
    turns: list[Turn]


class Session(NamedTuple):
    """A session of one customer. index: of its arrival."""

    index: int  # type: ignore[assignment]  # hides tuple.index, which nobody calls here
    customer_index: int
    customer_id: str
    locale: str
    interactions: list[Interaction]


class SessionPlanner:
    """Plans of sessions by arrival index.

    Args:
        resolved: the scenario as JSON values.
        messages: the `messages` of messages.json.
        seed: of the session streams.
        single: one interaction of one turn in every session, as in a replay.
    """

    def __init__(self, resolved: Resolved, messages: Sequence[Message], seed: int, *, single: bool = False) -> None:
        mix = resolved["mix"]
        self._mix = mix
        self._seed = seed
        self._single = single
        own = bool(messages) and "conversation" in messages[0]
        self._words = _OwnWords(messages) if own else _Words(mix, messages)
        self._interactions_cdf = _cdf(_count_shares(mix["interactions_per_session"]))
        self._turns_cdf = _cdf(_count_shares(mix["turns_per_interaction"]))
        ranks = np.arange(1, mix["customers"]["population"] + 1, dtype=np.float64)
        self._customers_cdf = _cdf(ranks ** -mix["customers"]["zipf_exponent"])
        regions = list(resolved["event"]["regions"].values())
        self._locales = [list(region["locales"]) for region in regions]
        self._locales_cdf = [_cdf(np.array(list(region["locales"].values()))).tolist() for region in regions]
        self._latest: tuple[int, _Block] | None = None

    def block(self, lo: int, hi: int, region: Sequence[int] | NDArray[np.int16] | None = None) -> list[Session]:
        """Sessions of arrivals lo..hi (hi excluded).

        Args:
            lo: first arrival index.
            hi: one past the last.
            region: region index of each of them, for its locale; the first region when None.
        """
        sessions: list[Session] = []
        for number in range(lo // BLOCK, (max(hi, lo + 1) - 1) // BLOCK + 1):
            first = max(lo, number * BLOCK)
            last = min(hi, (number + 1) * BLOCK)
            regions = None if region is None else np.asarray(region[first - lo : last - lo])
            sessions.extend(self._sessions(self._block(number), number * BLOCK, first, last, regions))
        return sessions

    def _block(self, number: int) -> _Block:
        if self._latest is None or self._latest[0] != number:
            self._latest = (number, self._draw(random_stream(self._seed, "sessions", number)))
        return self._latest[1]

    def _draw(self, rng: np.random.Generator) -> _Block:
        """All arrays of one block: per session, per interaction, per turn."""
        mix = self._mix
        customer = np.searchsorted(self._customers_cdf, rng.random(BLOCK), side="right")
        locale_u = rng.random(BLOCK)
        many = 1 + np.searchsorted(self._interactions_cdf, rng.random(BLOCK), side="right")
        if self._single:
            many = np.ones(BLOCK, np.int64)
        first_interaction = np.concatenate(([0], np.cumsum(many)))
        total = int(first_interaction[-1])
        length = self._words.lengths(rng.random(total), self._turns_cdf)
        if self._single:
            length = np.ones(total, np.int64)
        first_turn = np.concatenate(([0], np.cumsum(length)))
        turns = int(first_turn[-1])
        later = rng.random(total) < mix["returns_later_ratio"]
        delay_s = np.where(
            later, _lognormal(mix["returns_later_s"], total, rng), _lognormal(mix["between_interactions_s"], total, rng)
        )
        delay_s[first_interaction[:-1]] = 0.0
        think_s = _lognormal(mix["think_s"], turns, rng) + _lognormal(mix["typing_s"], turns, rng)
        think_s[first_turn[:-1]] = 0.0
        patience_s = None if mix["patience_s"] is None else _lognormal(mix["patience_s"], turns, rng)
        message, confirm = self._words.draw(length, first_turn, rng)
        patience = [None] * turns if patience_s is None else patience_s.tolist()
        return _Block(
            customer=customer.tolist(),
            locale_u=locale_u.tolist(),
            first_interaction=first_interaction.tolist(),
            first_turn=first_turn.tolist(),
            delay_s=delay_s.tolist(),
            think_s=think_s.tolist(),
            patience_s=patience,
            message=message.tolist(),
            confirm=confirm.tolist(),
        )

    def _sessions(
        self, block: _Block, base: int, first: int, last: int, region: NDArray[np.int16] | None
    ) -> list[Session]:
        ids, confirms, regions = self._words.ids, (None, True, False), None if region is None else region.tolist()
        sessions = []
        for index in range(first, last):
            i = index - base
            interactions = []
            for j in range(block.first_interaction[i], block.first_interaction[i + 1]):
                turns = [
                    Turn(ids[block.message[k]], block.think_s[k], block.patience_s[k], confirms[block.confirm[k]])
                    for k in range(block.first_turn[j], block.first_turn[j + 1])
                ]
                interactions.append(Interaction(block.delay_s[j], turns))
            where = 0 if regions is None else regions[index - first]
            pick = bisect_right(self._locales_cdf[where], block.locale_u[i])
            customer = block.customer[i]
            sessions.append(Session(index, customer, f"c{customer + 1:06d}", self._locales[where][pick], interactions))
        return sessions


def single_turn(resolved: Resolved, messages: Sequence[Message], seed: int) -> SessionPlanner:
    """The planner of a replay: each row of the file is one session of one interaction of one turn."""
    return SessionPlanner(resolved, messages, seed, single=True)


class _Block(NamedTuple):
    customer: list[int]
    locale_u: list[float]
    first_interaction: list[int]
    first_turn: list[int]
    delay_s: list[float]
    think_s: list[float]
    patience_s: Sequence[float | None]
    message: list[int]
    confirm: list[int]


class _Words:
    """The words of every turn: an intent by Markov chain, a complexity, a kind, then one message of that pool."""

    def __init__(self, mix: MixValues, messages: Sequence[Message]) -> None:
        self.ids = [str(message["id"]) for message in messages]
        self._mix = mix
        self._intents = list(mix["intents"])
        weights = np.array([mix["intents"][name]["weight"] for name in self._intents])
        self._complex_ratio = np.array([mix["intents"][name]["complex_ratio"] for name in self._intents])
        self._first_cdf = _cdf(weights)
        self._next_cdf = np.array([_cdf(row) for row in self._transitions(weights)])
        pools = _pools(self._intents, messages)
        self._pool_start = np.cumsum([0, *(len(pool) for pool in pools)])[:-1]
        self._pool_size = np.array([len(pool) for pool in pools])
        self._members = np.array([index for pool in pools for index in pool], dtype=np.int64)
        answerable = {name for name in self._intents if {"accept", "decline"} <= _kinds_of(name, messages)}
        self._asks_to_confirm = np.array([m["confirm"] and m["intent"] in answerable for m in messages], dtype=bool)
        with_image = np.array([any(m["image"] for m in messages if m["intent"] == name) for name in self._intents])
        self._image_cdf = _cdf(weights * with_image) if (weights * with_image).any() else None

    def _transitions(self, weights: Floats) -> list[Floats]:
        """Rows of the Markov chain: stay with stay_ratio, else the stated row or the mix's weights."""
        stay, rows = self._mix["stay_ratio"], []
        for i, name in enumerate(self._intents):
            stated = self._mix["transitions"].get(name)
            row = weights if stated is None else np.array([stated.get(other, 0.0) for other in self._intents])
            rows.append(stay * np.eye(len(self._intents))[i] + (1 - stay) * row)
        return rows

    def lengths(self, u: Floats, turns_cdf: Floats) -> Ints:
        """How many turns each interaction has."""
        return np.asarray(1 + np.searchsorted(turns_cdf, u, side="right"), dtype=np.int64)

    def draw(self, length: Ints, first_turn: Ints, rng: np.random.Generator) -> tuple[Ints, Ints]:
        """Message index and confirmation (0 none, 1 accept, 2 decline) of every turn.

        Args:
            length: (I,) turns of each interaction.
            first_turn: (I + 1,) where each interaction's turns begin.
        """
        turns = int(first_turn[-1])
        page = rng.random(len(length)) < self._mix["page_context_ratio"]
        image = rng.random(len(length)) < self._mix["image_ratio"]
        intent_u, complex_u, kind_u, pick_u = rng.random((4, turns))
        message, confirm = np.zeros(turns, np.int64), np.zeros(turns, np.int64)
        intent = np.zeros(len(length), np.int64)
        for position in range(int(length.max(initial=0))):
            live = np.flatnonzero(length > position)
            turn = first_turn[live] + position
            chosen = self._intent(intent[live], intent_u[turn], position, image[live])
            kind = self._kind(position, page[live], image[live], kind_u[turn])
            if position:
                asked = self._asks_to_confirm[message[turn - 1]]
                answer = np.where(kind_u[turn] < self._mix["confirm_ratio"], 1, 2)
                confirm[turn] = np.where(asked, answer, 0)
                kind = np.where(asked, _KINDS.index("accept") + answer - 1, kind)
                chosen = np.where(asked, intent[live], chosen)
            intent[live] = chosen
            complexity = complex_u[turn] < self._complex_ratio[chosen]
            pool = (chosen * 2 + complexity) * len(_KINDS) + kind
            place = (pick_u[turn] * self._pool_size[pool]).astype(np.int64)
            message[turn] = self._members[self._pool_start[pool] + place]
        return message, confirm

    def _intent(self, before: Ints, u: Floats, position: int, image: Bools) -> Ints:
        if position == 0:
            first = np.searchsorted(self._first_cdf, u, side="right")
            if self._image_cdf is None:
                return first
            return np.where(image, np.searchsorted(self._image_cdf, u, side="right"), first)
        moved: Ints = (self._next_cdf[before] <= u[:, None]).sum(axis=1)
        return moved

    def _kind(self, position: int, page: Bools, image: Bools, u: Floats) -> Ints:
        asked_on_page = np.where(page, _KINDS.index("page"), _KINDS.index("plain"))
        if position == 0:
            return np.where(image, _KINDS.index("image"), asked_on_page)
        return np.where(u < self._mix["follow_up_ratio"], _KINDS.index("follow_up"), asked_on_page)


class _OwnWords:
    """The words of a user's own questions: an interaction takes one entry by weight, and asks its messages in order."""

    def __init__(self, messages: Sequence[Message]) -> None:
        self.ids = [str(message["id"]) for message in messages]
        entry = np.array([message["conversation"] for message in messages])
        self._first = np.flatnonzero(np.concatenate(([True], entry[1:] != entry[:-1])))
        self._many = np.diff(np.append(self._first, len(messages)))
        self._cdf = _cdf(np.array([float(messages[index]["weight"]) for index in self._first.tolist()]))
        self._chosen: Ints = np.zeros(0, np.int64)

    def lengths(self, u: Floats, turns_cdf: Floats) -> Ints:
        """How many turns each interaction has: those of the entry it takes."""
        self._chosen = np.searchsorted(self._cdf, u, side="right")
        return np.asarray(self._many[self._chosen], dtype=np.int64)

    def draw(self, length: Ints, first_turn: Ints, rng: np.random.Generator) -> tuple[Ints, Ints]:
        """Message index of every turn, and that none answers a pending write."""
        place = np.arange(int(first_turn[-1])) - np.repeat(first_turn[:-1], length)
        return np.repeat(self._first[self._chosen], length) + place, np.zeros(len(place), np.int64)


def _kind_of(message: Message) -> str:
    """What a message can be used for; exactly one kind."""
    if message.get("answers"):
        return str(message["answers"])
    if message["follow_up"]:
        return "follow_up"
    if message["image"]:
        return "image"
    return "page" if message["page_product_id"] else "plain"


def _kinds_of(intent: str, messages: Sequence[Message]) -> set[str]:
    return {_kind_of(message) for message in messages if message["intent"] == intent}


def _pools(intents: Sequence[str], messages: Sequence[Message]) -> list[list[int]]:
    """Message indices by intent, complexity and kind, in this order; an empty pool borrows from the nearest one.

    Raises:
        ValueError: an intent of the mix without a message.
    """
    found: dict[tuple[str, str, str], list[int]] = {}
    for index, message in enumerate(messages):
        found.setdefault((message["intent"], message["complexity"], _kind_of(message)), []).append(index)
    pools = []
    for intent in intents:
        anything = [i for (name, _, kind), pool in found.items() if name == intent and kind in _KINDS[:4] for i in pool]
        if not anything:
            raise ValueError(f"messages: none for intent {intent!r}; make the world again")
        for complexity in ("simple", "complex"):
            other = "complex" if complexity == "simple" else "simple"
            for kind in _KINDS:
                nearest = [(complexity, kind), *([(other, kind)] if kind in ("image", "accept", "decline") else [])]
                nearest += [(name, like) for name in (complexity, other) for like in (kind, *_INSTEAD[kind])]
                pools.append(next((found[(intent, *key)] for key in nearest if (intent, *key) in found), anything))
    return pools


def _cdf(weights: Floats) -> Floats:
    """Cumulative shares for `searchsorted(…, side="right")`; the last is infinite so that rounding picks no ghost."""
    cdf = np.cumsum(weights) / np.sum(weights)
    cdf[np.flatnonzero(weights)[-1] :] = np.inf
    return cdf


def count_shares(mean: float, most: int) -> Floats:
    """(most,) probabilities of 1..most: a geometric distribution whose ratio, found by bisection, keeps the mean."""
    values = np.arange(1, most + 1)
    low, high = -50.0, 50.0
    weights: Floats = np.ones(len(values))
    for _ in range(60):
        log_ratio = (low + high) / 2
        exponents = log_ratio * (values - 1.0)
        weights = np.exp(exponents - exponents.max())
        below = float((weights * values).sum() / weights.sum()) < mean
        low, high = (log_ratio, high) if below else (low, log_ratio)
    return np.asarray(weights / weights.sum(), dtype=np.float64)


def _count_shares(count: CountValues) -> Floats:
    return count_shares(count["mean"], count["max"])


def _lognormal(wait: WaitValues, n: int, rng: np.random.Generator) -> Floats:
    """Draws of a `Lognormal`: median and CV, cut at max. Source: cv^2 = exp(sigma^2) - 1."""
    sigma = math.sqrt(math.log1p(wait["cv"] ** 2))
    values: Floats = wait["median"] * np.exp(sigma * rng.standard_normal(n))
    return values if wait["max"] is None else np.minimum(values, wait["max"])
