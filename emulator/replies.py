"""What a model replies to a request, whatever its protocol: tool calls, an answer in text, or JSON of a set schema."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random

import orjson

from emulator.language import client_tools
from emulator.language.client_tools import ClientTool
from emulator.language.conversations import Plan, Turn
from emulator.language.schema_values import value_for
from emulator.models import EmulatedModel, Emulator
from emulator.shop_model import model as shop_model
from emulator.shop_model.dialogue import Dialogue

Calls = Sequence[tuple[str, dict[str, object]]]
"""(tool, input) of each."""

ANY_JSON = {"type": "object", "properties": {"answer": {"type": "string"}}, "required": ["answer"]}
"""The schema of an answer that must be JSON, and no more."""
_RESULT_CHARS_MAX = 400


@dataclass(frozen=True)
class ToolCall:
    """A tool the model asks for; `arguments` is the JSON text of its input."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True)
class Reply:
    """What the model says: text or tool calls, its token count, and why it stops (end, tools, length)."""

    tokens: int
    stop: str
    text: str = ""
    text_units: list[bytes] = field(default_factory=list)
    tools: tuple[ToolCall, ...] = ()
    cited: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Question:
    """What a request puts to the model.

    `forced`: tools of which one must be called. `schema`: what an answer in JSON has to satisfy. `read`: makes the
    dialogue, which few requests need.
    """

    turn: Turn
    offered: set[str]
    max_tokens: int | None
    read: Callable[[], Dialogue]
    forced: frozenset[str] = frozenset()
    schema: object = None
    can_cite: bool = False


def reply_to(emulator: Emulator, emulated: EmulatedModel, question: Question) -> Reply:
    """The model's reply: by the conversation file where it knows the message, else by what the request offers.

    Raises:
        UnusableSchemaError: a schema that has to be filled and cannot be.
    """
    conversations, turn = emulator.conversations, question.turn
    if question.forced:
        return _tool_reply(emulator, emulated, _forced(emulator, emulated, question))
    if conversations.leaves_open(turn) and (question.offered or question.can_cite or question.schema is not None):
        spoken = _open_reply(emulator, emulated, question, question.read())
        if spoken is not None:
            conversations.unknown += 1
            return spoken
    plan = conversations.plan_for(turn)
    asked = conversations.calls(plan, turn, question.offered)
    if asked:
        return _tool_reply(emulator, emulated, asked)
    if question.schema is not None:
        return _json_reply(emulator, emulated, question, question.read().now.words)
    return _text_reply(emulator, emulated, plan, question.max_tokens, question.can_cite)


def _open_reply(emulator: Emulator, emulated: EmulatedModel, question: Question, dialogue: Dialogue) -> Reply | None:
    """The reply to what the file leaves open; None for a bare load target, which gets text of a set length.

    A client's own tools are called when the message wants them; the shop model speaks where its tools are offered, or a
    search of the web.
    """
    own = _client_tools(dialogue)
    chosen = client_tools.wanted(own, dialogue.now.words, _called(dialogue)) if own else []
    if chosen:
        chosen = chosen if dialogue.parallel else chosen[:1]
        return _tool_reply(emulator, emulated, [_filled(emulator, tool, dialogue) for tool in chosen])
    if question.schema is not None:
        return _json_reply(emulator, emulated, question, dialogue.now.words)
    if len(own) < len(dialogue.tools) or dialogue.grounds:
        said = shop_model.answer(dialogue, short=emulated.profile.manner == "short", pages=emulator.pages)
        if said.calls:
            return _tool_reply(emulator, emulated, said.calls)
        return _words_reply(emulated, said.text, question.max_tokens, said.cited)
    if own and dialogue.now.uses:
        return _words_reply(emulated, _of_results(dialogue), question.max_tokens)
    return None


def _forced(emulator: Emulator, emulated: EmulatedModel, question: Question) -> Calls:
    """Calls of tools that the request demands: as the file plans, as the shop model would, else filled by schema."""
    plan = emulator.conversations.plan_for(question.turn)
    asked = emulator.conversations.calls(plan, question.turn, question.offered & question.forced)
    if asked:
        return asked
    dialogue = question.read()
    if question.forced & shop_model.TOOLS:
        said = shop_model.answer(dialogue, short=emulated.profile.manner == "short", pages=emulator.pages)
        meant = [call for call in said.calls if call[0] in question.forced]
        if meant:
            return meant
    tools = [_tool(dialogue, name) for name in sorted(question.forced)]
    return [_filled(emulator, client_tools.demanded(tools, dialogue.now.words, _called(dialogue)), dialogue)]


def _client_tools(dialogue: Dialogue) -> list[ClientTool]:
    """The tools offered that are none of the shop's."""
    return [_tool(dialogue, name) for name in dialogue.tools if name not in shop_model.TOOLS]


def _tool(dialogue: Dialogue, name: str) -> ClientTool:
    return ClientTool(name, dialogue.descriptions.get(name, ""), dialogue.tools.get(name, {}))


def _called(dialogue: Dialogue) -> frozenset[str]:
    """Tools that were called for the message already."""
    return frozenset(use.tool for use in dialogue.now.uses)


def _filled(emulator: Emulator, tool: ClientTool, dialogue: Dialogue) -> tuple[str, dict[str, object]]:
    words = dialogue.now.words
    made = value_for(tool.schema, words, Random(f"{emulator.seed}/{tool.name}/{words}"))
    return tool.name, made if isinstance(made, dict) else {}


def _of_results(dialogue: Dialogue) -> str:
    """What the client's tools returned, told back."""
    lines = []
    for use in dialogue.now.uses:
        shown = use.result if isinstance(use.result, str) else orjson.dumps(use.result).decode()
        lines.append(f"{use.tool}: {shown[:_RESULT_CHARS_MAX]}")
    return "\n".join(lines)


def _tool_reply(emulator: Emulator, emulated: EmulatedModel, calls: Calls) -> Reply:
    tools = tuple(ToolCall(emulator.new_id("tooluse_"), name, orjson.dumps(values).decode()) for name, values in calls)
    count = emulated.profile.tokens.text
    return Reply(sum(count(tool.name + tool.arguments) for tool in tools), "tools", tools=tools)


def _json_reply(emulator: Emulator, emulated: EmulatedModel, question: Question, words: str) -> Reply:
    made = value_for(question.schema, words, Random(f"{emulator.seed}/answer/{words}"))
    return _words_reply(emulated, orjson.dumps(made).decode(), question.max_tokens)


def _words_reply(
    emulated: EmulatedModel, words: str, max_tokens: int | None, cited: tuple[tuple[str, str], ...] = ()
) -> Reply:
    """These very words, cut at max_tokens."""
    text = emulated.profile.tokens.cut(words, max_tokens)
    tokens = max(1, emulated.profile.tokens.text(text))
    return Reply(tokens, "end" if text == words else "length", text, emulated.corpus.speak(text), cited=cited)


def _text_reply(
    emulator: Emulator, emulated: EmulatedModel, plan: Plan, max_tokens: int | None, can_cite: bool
) -> Reply:
    """An answer in text of the plan's length, cut at max_tokens."""
    wanted = max(1, plan.answer_tokens)
    tokens = wanted if max_tokens is None else min(wanted, max_tokens)
    text, units = emulated.corpus.answer(tokens, emulator.random.getrandbits(16))
    cited: tuple[tuple[str, str], ...] = ()
    if can_cite and emulator.pages and emulator.conversations.grounds(plan):
        cited = (emulator.random.choice(emulator.pages),)
    return Reply(tokens, "length" if tokens < wanted else "end", text, units, cited=cited)
