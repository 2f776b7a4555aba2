"""What a tool is: its name and schema for the model, its rules for the server, and the function behind it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

import orjson

from assistant.errors import AssistantError
from assistant.models.protocol import ToolConfig

if TYPE_CHECKING:
    from assistant.autobuy.rules import RuleBook
    from assistant.shop.catalogue import Catalogue
    from assistant.shop.store import Store
    from assistant.shop.web_index import WebIndex

Result = Mapping[str, object]
Arguments = Mapping[str, Any]
"""A tool's arguments, of any kind of value: they met the tool's schema before it runs."""


class ToolError(AssistantError):
    """A tool that cannot do what was asked; the text goes back to the model as an error result."""


class NothingFound(ToolError):
    """A search that found nothing: a true answer, no failure."""


@dataclass(frozen=True, slots=True)
class ToolContext:
    """What a tool may know. The account comes from the session, never from the model's arguments.

    `key`: the write's idempotency key, the same when a request is replayed. `ground`: asks a model that can
    search the web.
    """

    customer_id: str
    now: datetime
    catalogue: Catalogue
    store: Store
    web: WebIndex
    rules: RuleBook
    currency: str = "USD"
    key: str = ""
    ground: Callable[[str], Awaitable[Result]] | None = None


def one_line(text: object) -> str:
    """Text of a product or an order within a sentence that a customer agrees to: no line of its own, nothing unseen."""
    plain = "".join(letter if letter.isprintable() else " " for letter in str(text))
    return " ".join(plain.split())


ALWAYS = "always"
UNLESS_ASKED = "unless_asked"


@dataclass(frozen=True, slots=True)
class Tool:
    """One tool.

    `confirm`: None for reading; `ALWAYS`: the customer confirms every use; `UNLESS_ASKED`: the customer's own message,
    routed to one of `asked_by`, is the consent, if the first required argument is in their words and no stranger's text
    is in the conversation.
    `own_words_ratio`: share of that argument's words that must stand in the customer's message.
    `taints`: its result holds text that strangers wrote.
    `preview` resolves arguments into exactly what a confirmation will do, and says it to the customer.
    """

    name: str
    description: str
    properties: Mapping[str, object]
    run: Callable[[ToolContext, Arguments], Result | Awaitable[Result]]
    required: tuple[str, ...] = ()
    one_of: tuple[str, ...] = ()
    confirm: str | None = None
    asked_by: frozenset[str] = field(default_factory=frozenset)
    own_words_ratio: float = 0.5
    taints: bool = False
    preview: Callable[[ToolContext, Arguments], tuple[Arguments, str]] | None = None

    @property
    def schema(self) -> dict[str, object]:
        """JSON schema of the arguments."""
        schema: dict[str, object] = {
            "type": "object",
            "properties": dict(self.properties),
            "required": list(self.required),
            "additionalProperties": False,
        }
        if self.one_of:
            schema["oneOf"] = [{"required": [name]} for name in self.one_of]
        return schema


def text(description: str, max_length: int = 200, **more: object) -> dict[str, object]:
    """Schema of a string argument."""
    return {"type": "string", "description": description, "maxLength": max_length, **more}


def whole(description: str, minimum: int, maximum: int) -> dict[str, object]:
    """Schema of an integer argument."""
    return {"type": "integer", "description": description, "minimum": minimum, "maximum": maximum}


def amount(description: str, minimum: float, maximum: float) -> dict[str, object]:
    """Schema of a number argument."""
    return {"type": "number", "description": description, "minimum": minimum, "maximum": maximum}


PRODUCT_ID = text("Product id, such as p000123", 40)


def tool_config(
    tools: Iterable[Tool], cache_point: Mapping[str, Any] | None = None, system_tool: str | None = None
) -> ToolConfig:
    """The tool list as sent: sorted by name and serialised once, so that its bytes are the same in every prompt.

    Args:
        system_tool: a tool of the provider's own, put behind ours.
    """
    ordered = sorted(tools, key=lambda tool: tool.name)
    converse: list[dict[str, Any]] = [
        {"toolSpec": {"name": tool.name, "description": tool.description, "inputSchema": {"json": _sent_schema(tool)}}}
        for tool in ordered
    ]
    openai = [
        {
            "type": "function",
            "function": {"name": tool.name, "description": tool.description, "parameters": _sent_schema(tool)},
        }
        for tool in ordered
    ]
    if system_tool is not None:
        converse.append({"systemTool": {"name": system_tool}})
    if cache_point is not None:
        converse.append(dict(cache_point))
    return ToolConfig(converse=orjson.dumps({"tools": converse}), openai=orjson.dumps(openai))


def _sent_schema(tool: Tool) -> dict[str, object]:
    """The schema without `oneOf`: providers' subsets of JSON Schema differ there, and the description says it."""
    schema = tool.schema
    schema.pop("oneOf", None)
    return schema
