"""One request shape and one reply shape for every model, in the vocabulary of Bedrock's Converse API."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from facts.reader import Model

Block = dict[str, Any]
"""A Converse content block: {text}, {toolUse}, {toolResult}, {image} or {cachePoint}."""
Message = dict[str, Any]
"""A Converse message: {role, content: [Block]}."""


@dataclass(frozen=True, slots=True)
class ToolConfig:
    """The tool list as it is sent, serialised once so that its bytes never change: `converse` and `openai` JSON."""

    converse: bytes
    openai: bytes


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """One call of one model. `tools` None: none are offered. `parallel_tools` False: at most one tool a call."""

    model: Model
    region: str
    system: Sequence[Block]
    messages: Sequence[Message]
    tools: ToolConfig | None = None
    max_tokens: int | None = None
    parallel_tools: bool = True
    traceparent: str | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens as the provider counted them; `input_tokens` excludes cached ones."""

    input_tokens: int
    output_tokens: int
    cache_read_tokens: int = 0
    cache_write_tokens_5m: int = 0
    cache_write_tokens_1h: int = 0


@dataclass(frozen=True, slots=True)
class ToolUse:
    """A tool the model asks for. `input` is None when its JSON cannot be read; then `error` says why."""

    tool_use_id: str
    name: str
    input: Mapping[str, object] | None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """What one call came to. Times are seconds from the moment the request was handed to the client.

    `content` holds text and toolUse blocks ready to be sent back as history. `tpot_s` is null below two tokens.
    `attempts`: how often the client itself asked, more than once where it retries by itself.
    """

    content: list[Block]
    tool_uses: list[ToolUse]
    stop_reason: str
    usage: Usage | None
    ttft_s: float | None
    tpot_s: float | None
    e2e_s: float
    tier_resolved: str | None = None
    latency_mode: str | None = None
    citations: list[str] = field(default_factory=list)
    attempts: int = 1


class Listener(Protocol):
    """Hears a reply while it streams."""

    async def opened(self, simulated: bool) -> None:
        """The provider accepted the request; `simulated`: it says that it is an emulator."""

    async def text(self, text: str) -> None:
        """A piece of the answer, as it came."""

    def text_now(self, text: str) -> Awaitable[None] | None:
        """The same without a task switch: what is returned, if anything, is awaited before the next piece."""


class NullListener:
    """A listener for calls whose text the customer does not see."""

    async def opened(self, simulated: bool) -> None:
        """Nothing to do."""

    async def text(self, text: str) -> None:
        """Nothing to do."""

    def text_now(self, text: str) -> None:
        """Nothing to do."""


class ModelClient(Protocol):
    """Speaks one wire protocol."""

    async def converse(self, request: ModelRequest, listener: Listener) -> Reply:
        """Make one call and stream it.

        Raises:
            ModelError: refused, failed mid-stream, cut or unreachable.
        """

    async def close(self) -> None:
        """Release connections."""
