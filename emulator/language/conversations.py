"""What the models answer: tool plans and answer lengths from a conversation file, never from assistant code.

The customer's words are found by hash: of the last user message that holds no tool result, the last text block whose
sha256 the file knows. Round r is what the model asks for on its r-th call of the turn.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TypedDict

from host.errors import PeakdayError
from host.files import read_text
from host.yaml_text import parse_yaml

SCHEMA = "peakday.conversations/1"
FILE_BYTES_MAX = 256 * 2**20
TOKENS_MAX = 1_000_000
_PAGE_PRODUCT = re.compile(r'<page>[^<]*"product_id"\s*:\s*"([^"]+)"')
_HASH = re.compile(r"[0-9a-f]{64}")
_PREFETCHED = re.compile(r'<prefetch tool="([^"]+)"')


class ConversationsError(PeakdayError, ValueError):
    """A conversation file that cannot be used; the message names it and what is wrong."""

    page = "assistant"


class ScriptedCall(TypedDict):
    """A tool call of the script."""

    tool: str
    input: Mapping[str, object]


class PlanEntry(TypedDict, total=False):
    """An answer of the file."""

    rounds: list[list[ScriptedCall]]
    answer_tokens: int
    ground: bool
    label: str
    says: str


@dataclass(frozen=True)
class Plan:
    """One turn: the tools asked for in each round, then an answer of so many tokens.

    `label` is what the query planner says of the message, such as `deals simple`; absent where the file has none.
    `says` is the whole answer, word for word, of any model on Converse; absent, it is cut from the catalogue's text.
    """

    rounds: tuple[tuple[ScriptedCall, ...], ...] = ()
    answer_tokens: int = 120
    ground: bool = False
    label: str | None = None
    says: str | None = None


@dataclass(frozen=True)
class Turn:
    """What a request tells of its turn, whatever the protocol.

    `texts`: text blocks of the user message, last first. `earlier`: those of the one before it.
    `results`: the tool results so far, one tuple a message.
    """

    texts: tuple[str, ...]
    results: tuple[tuple[object, ...], ...] = ()
    parallel: bool = True
    earlier: tuple[str, ...] = ()


class Conversations:
    """Plans by hash of the customer's words."""

    def __init__(self, answers: dict[str, Plan], default: Plan) -> None:
        self._answers = answers
        self._default = default
        self._has_words = any(plan.says is not None for plan in answers.values())
        self.unknown = 0

    def plan_for(self, turn: Turn) -> Plan:
        """The plan of the first text that the file knows, else the default plan."""
        plan = self._known(turn.texts)
        if plan is not None:
            return plan
        self.unknown += 1
        return self._default

    def leaves_open(self, turn: Turn) -> bool:
        """Whether the file has no answer: it knows the message not, or not the one before, on which this one leans."""
        if self._known(turn.texts) is None:
            return True
        return bool(turn.earlier) and self._known(turn.earlier) is None

    def words_for(self, turn: Turn) -> str | None:
        """The answer's very words, where the file has them."""
        plan = self._known(turn.texts) if self._has_words else None
        return None if plan is None else plan.says

    def _known(self, texts: tuple[str, ...]) -> Plan | None:
        plans = (self._answers.get(sha256(text.encode()).hexdigest()) for text in texts)
        return next((plan for plan in plans if plan is not None), None)

    def grounds(self, plan: Plan) -> bool:
        """Whether an answer cites pages, where it can: as the plan says, and of unknown messages always."""
        return plan.ground or plan is self._default

    def calls(self, plan: Plan, turn: Turn, offered: set[str]) -> list[tuple[str, dict[str, object]]]:
        """(tool, input) asked for now.

        A tool that is not offered, or whose result a `<prefetch tool="...">` block already holds, is not asked for, and
        a round left empty counts as done. Without parallel tool use the plan is handed out one call at a time. A call
        whose placeholder the request cannot fill is left out.
        """
        prefetched = {name for text in turn.texts for name in _PREFETCHED.findall(text)}
        wanted = offered - prefetched
        rounds = [[call for call in calls if call["tool"] in wanted] for calls in plan.rounds]
        rounds = [calls for calls in rounds if calls]
        done = len(turn.results)
        if not turn.parallel:
            rounds = [[call] for calls in rounds for call in calls]
            done = sum(len(results) for results in turn.results)
        if done >= len(rounds):
            return []
        asked = []
        for call in rounds[done]:
            filled = {key: _filled(value, turn) for key, value in call["input"].items()}
            if None not in filled.values():
                asked.append((call["tool"], filled))
        return asked


def _filled(value: object, turn: Turn) -> object:
    """The value, or what its placeholder stands for; None when the request does not tell."""
    if value == "$page_product":
        return next((match[1] for text in turn.texts if (match := _PAGE_PRODUCT.search(text))), None)
    if isinstance(value, str) and value.startswith("$first_result."):
        return _first_value(turn.results[-1:], value.removeprefix("$first_result."))
    return value


def _first_value(tree: object, key: str) -> object:
    """The first value under `key`, breadth first, in a tree of JSON."""
    level = [tree]
    while level:
        below: list[object] = []
        for node in level:
            if isinstance(node, dict):
                if key in node:
                    return node[key]
                below.extend(node.values())
            elif isinstance(node, (list, tuple)):
                below.extend(node)
        level = below
    return None


def read_conversations(path: Path | None) -> Conversations:
    """Plans from a file; without one every turn is the default plan.

    Raises:
        ConversationsError: not a conversation file.
    """
    if path is None:
        return Conversations({}, Plan())
    raw = parse_yaml(read_text(path, FILE_BYTES_MAX, error=ConversationsError), str(path), error=ConversationsError)
    if raw.get("schema") != SCHEMA:
        raise ConversationsError(f"{path}: schema is not {SCHEMA}")
    try:
        answers = {_hash_of(str(key)): _plan(entry) for key, entry in raw.get("answers", {}).items()}
        return Conversations(answers, _plan(raw.get("default", {})))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ConversationsError(f"{path}: an answer is malformed ({error!r})") from None


def _hash_of(key: str) -> str:
    """The key of an answer: a hash as it is, else the words themselves."""
    return key if _HASH.fullmatch(key) else sha256(key.encode()).hexdigest()


def _plan(entry: PlanEntry) -> Plan:
    rounds = tuple(
        tuple(ScriptedCall(tool=call["tool"], input=call.get("input", {})) for call in calls)
        for calls in entry.get("rounds", [])
    )
    if not all(isinstance(call["tool"], str) and isinstance(call["input"], dict) for calls in rounds for call in calls):
        raise TypeError("a tool has a name, and its input keys and values")
    tokens, grounds = entry.get("answer_tokens", 120), bool(entry.get("ground", False))
    if type(tokens) is not int or not 0 <= tokens <= TOKENS_MAX:
        raise ValueError(f"answer_tokens is {tokens!r}, expected a whole number of 0 or more")
    label, says = entry.get("label"), entry.get("says")
    if not all(isinstance(text, str | None) for text in (label, says)):
        raise TypeError("label and says are texts")
    return Plan(rounds, tokens, grounds, label, says)
