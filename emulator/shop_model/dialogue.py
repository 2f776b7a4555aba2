"""A request as the shop model sees it, whatever its protocol: turns of a conversation, with the tools used in each.

Of a customer's message the last text is the customer's own; what stands before it was put there by the store.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from typing import Any

import orjson

from emulator.bedrock.messages import Block, ConverseBody, ToolUse
from emulator.openai.messages import ChatBody, ChatCalled, ChatPart
from host.json_values import mapping

Row = Mapping[str, Any]
"""What a tool of the store returned, or the schema of its arguments."""
_PAGE = re.compile(r'<page>[^<]*"product_id"\s*:\s*"([^"]+)"')
_TODAY = re.compile(r"<today>(\d{4}-\d{2}-\d{2})</today>")
_PREFETCH = re.compile(r'<prefetch tool="([a-z_]+)">(.*)</prefetch>', re.DOTALL)
_OUTCOME = re.compile(r'<(confirmed|declined) tool="([a-z_]+)">(.*)</\1>', re.DOTALL)
_FACTS = re.compile(r"^- (.+)$", re.MULTILINE)
_FACTS_HEAD = "Remembered about this customer"
_LANGUAGE = re.compile(r"Answer in (\w+)\.")
_CURRENCY = re.compile(r"Prices are in ([A-Z]{3})\b")


@dataclass(frozen=True)
class Use:
    """One tool call and its result; `result` None where it is still to come, `failed` where the tool said so."""

    tool: str
    arguments: Mapping[str, object]
    result: object = None
    failed: bool = False

    @property
    def data(self) -> Row:
        """The result, where it is an object."""
        return self.result if isinstance(self.result, Mapping) else {}


@dataclass(frozen=True)
class Outcome:
    """What became of a confirmation: the tool, and its result; None when the customer declined."""

    tool: str
    result: Row | None


@dataclass
class Exchange:
    """One message of the customer, the rounds of tools behind its answer, and the answer (empty: not yet given)."""

    texts: Sequence[str]
    images: int = 0
    rounds: list[list[Use]] = field(default_factory=list)
    answer: str = ""

    @property
    def words(self) -> str:
        """The customer's own."""
        return self.texts[-1] if self.texts else ""

    @cached_property
    def page(self) -> str | None:
        """The product page that is open."""
        return next((match[1] for text in self.texts[:-1] if (match := _PAGE.match(text))), None)

    @cached_property
    def today(self) -> date | None:
        """The store's date."""
        day = next((match[1] for text in self.texts[:-1] if (match := _TODAY.fullmatch(text))), None)
        return date.fromisoformat(day) if day else None

    @cached_property
    def outcome(self) -> Outcome | None:
        """What the store did with the confirmation that this message brought."""
        for text in self.texts[:-1]:
            if match := _OUTCOME.fullmatch(text):
                return Outcome(match[2], None if match[1] == "declined" else _object(match[3]))
        return None

    @cached_property
    def uses(self) -> tuple[Use, ...]:
        """Every tool whose result is known here: fetched beforehand, then round by round."""
        fetched = [
            Use(match[1], {}, _object(match[2])) for text in self.texts[:-1] if (match := _PREFETCH.fullmatch(text))
        ]
        return (*fetched, *(use for uses in self.rounds for use in uses))

    @cached_property
    def asked_for(self) -> tuple[Row, ...]:
        """The products in results that this turn asked for: what was fetched beforehand was shown to nobody."""
        confirmed = self.outcome.result if self.outcome else None
        called = (use.result for uses in self.rounds for use in uses)
        return tuple(row for tree in (*called, confirmed) for row in _products(tree, 0))

    @cached_property
    def products(self) -> tuple[Row, ...]:
        """Every product in the results known here, in their order."""
        confirmed = self.outcome.result if self.outcome else None
        return tuple(row for tree in (*(use.result for use in self.uses), confirmed) for row in _products(tree, 0))


def _products(tree: object, depth: int) -> Iterator[Row]:
    """Every product in a result, in its order."""
    if isinstance(tree, Mapping):
        product = isinstance(tree.get("product_id"), str) and tree.get("title")
        if product:
            yield tree
        if depth < 4:
            within = list if product else (list, Mapping)  # a product's attributes are none
            for value in tree.values():
                if isinstance(value, within):
                    yield from _products(value, depth + 1)
    elif isinstance(tree, list):
        for value in tree[:20]:
            yield from _products(value, depth + 1)


@dataclass(frozen=True)
class Dialogue:
    """The whole request. `tools`: schema of the arguments by name, of the tools that are offered; `descriptions` too."""

    system: str
    tools: Mapping[str, Row]
    exchanges: Sequence[Exchange]
    parallel: bool = True
    grounds: bool = False
    descriptions: Mapping[str, str] = field(default_factory=dict)

    @property
    def now(self) -> Exchange:
        """The turn under way."""
        return self.exchanges[-1]

    @property
    def facts(self) -> list[str]:
        """What the store remembers about the customer."""
        at = self.system.rfind(_FACTS_HEAD)
        return _FACTS.findall(self.system[at:]) if at >= 0 else []

    @property
    def language(self) -> str:
        """The language that the store asks for."""
        match = _LANGUAGE.match(self.system, max(0, self.system.rfind("Answer in ")))
        return match[1] if match else "English"

    @property
    def currency(self) -> str:
        """The store's currency."""
        match = _CURRENCY.match(self.system, max(0, self.system.rfind("Prices are in ")))
        return match[1] if match else "USD"


def of_converse(body: ConverseBody) -> Dialogue:
    """From a Converse request that was found valid."""
    offered = body["toolConfig"]["tools"] if "toolConfig" in body else []
    specs = [tool["toolSpec"] for tool in offered if "toolSpec" in tool]
    tools = {spec["name"]: spec["inputSchema"].get("json") or {} for spec in specs}
    descriptions = {spec["name"]: spec.get("description") or "" for spec in specs}
    grounds = any("systemTool" in tool and tool["systemTool"]["name"] == "nova_grounding" for tool in offered)
    exchanges: list[Exchange] = []
    for message in body["messages"]:
        content = message["content"]
        texts = [block["text"] for block in content if isinstance(block.get("text"), str)]
        if message["role"] == "assistant":
            _answered(exchanges, texts, [_use(block["toolUse"]) for block in content if "toolUse" in block])
        elif results := [block["toolResult"] for block in content if "toolResult" in block]:
            _resulted(exchanges, [(_value(result["content"]), result.get("status") == "error") for result in results])
        else:
            exchanges.append(Exchange(texts, sum("image" in block for block in content)))
    system = "\n".join(block["text"] for block in body.get("system", []) if isinstance(block.get("text"), str))
    choice = mapping(mapping(body.get("additionalModelRequestFields")).get("tool_choice"))
    if choice.get("type") == "none":
        tools = {}
    one = bool(choice.get("disable_parallel_tool_use"))
    return Dialogue(system, tools, exchanges or [Exchange(())], parallel=not one, grounds=grounds,
                    descriptions=descriptions)  # fmt: skip


def of_openai(body: ChatBody) -> Dialogue:
    """From a chat completion request that was found valid."""
    functions = [tool["function"] for tool in body.get("tools") or []]
    tools = {function["name"]: function.get("parameters") or {} for function in functions}
    if body.get("tool_choice") == "none":
        tools = {}
    exchanges: list[Exchange] = []
    system: list[str] = []
    waiting: list[tuple[object, bool]] = []
    for message in body["messages"]:
        role, content = message.get("role"), message.get("content")
        parts: list[ChatPart] = [{"text": content}] if isinstance(content, str) else content or []
        texts = [part["text"] for part in parts if isinstance(part.get("text"), str)]
        if role == "tool":
            value = _json("".join(texts))
            waiting.append((value, isinstance(value, dict) and set(value) == {"error"}))
            continue
        _resulted(exchanges, waiting)
        waiting = []
        if role == "assistant":
            calls = [call.get("function") or ChatCalled() for call in message.get("tool_calls") or []]
            _answered(
                exchanges, texts, [Use(str(call.get("name")), _object(call.get("arguments") or "")) for call in calls]
            )
        elif role == "user":
            exchanges.append(Exchange(texts, sum(part.get("type") == "image_url" for part in parts)))
        else:
            system += texts
    _resulted(exchanges, waiting)
    descriptions = {function["name"]: str(function.get("description") or "") for function in functions}
    return Dialogue(
        "\n".join(system), tools, exchanges or [Exchange(())], parallel=body.get("parallel_tool_calls") is not False,
        descriptions=descriptions,
    )  # fmt: skip


def _use(block: ToolUse) -> Use:
    arguments = block.get("input")
    return Use(block["name"], arguments if isinstance(arguments, dict) else {})


def _answered(exchanges: list[Exchange], texts: Iterable[str], uses: list[Use]) -> None:
    if exchanges and uses:
        exchanges[-1].rounds.append(uses)
    elif exchanges:
        exchanges[-1].answer = "".join(texts)


def _resulted(exchanges: list[Exchange], results: Sequence[tuple[object, bool]]) -> None:
    """Results in the order of the calls they answer."""
    if not results or not exchanges or not exchanges[-1].rounds:
        return
    uses = exchanges[-1].rounds[-1]
    exchanges[-1].rounds[-1] = [
        Use(use.tool, use.arguments, value, failed) for use, (value, failed) in zip(uses, results, strict=False)
    ]


def _value(content: Sequence[Block]) -> object:
    for item in content:
        if "json" in item:
            return item["json"]
        if isinstance(item.get("text"), str):
            return _json(item["text"])
    return None


def _json(text: str) -> object:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text


def _object(text: str) -> Row:
    value = _json(text)
    return value if isinstance(value, dict) else {}
