"""Web search by a model that can: in place where the answering model grounds, else one nested call of its own.

A nested call has its own `usage` row, cost and region. The embedded default reads the local cited index instead.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from assistant.errors import ModelError
from assistant.models.calls import CallLog, ModelCaller, Prepared
from assistant.models.protocol import ModelRequest, NullListener
from assistant.settings import Stack
from assistant.tools.spec import Result, ToolError, tool_config
from assistant.tools.web import SYSTEM_TOOL
from facts.reader import Model

_GROUNDING_ONLY = tool_config((), system_tool=SYSTEM_TOOL)
_SYSTEM = "Search the web and answer in a few sentences. Every statement needs a source."
_TOKENS_MAX = 600


def grounds_in_place(stack: Stack, model: Model, region: str) -> bool:
    """Whether the answering model looks things up itself: it may not search through us then."""
    return stack.live and region in model.grounding_regions


def grounding(
    stack: Stack, caller: ModelCaller, log: CallLog, region: str
) -> Callable[[str], Awaitable[Result]] | None:
    """Searches through the stack's first model that grounds; None where the local index serves instead."""
    model = next((model for model in stack.models.values() if model.grounding_regions), None)
    if model is None or not stack.live:
        return None
    where = region if region in model.grounding_regions else model.grounding_regions[0]

    async def search(query: str) -> Result:
        def prepare(chosen: Model, at: str) -> Prepared:
            return Prepared(
                ModelRequest(
                    model=chosen,
                    region=at,
                    system=[{"text": _SYSTEM}],
                    messages=[{"role": "user", "content": [{"text": query}]}],
                    tools=_GROUNDING_ONLY,
                    max_tokens=_TOKENS_MAX,
                )
            )

        try:
            reply, _ = await caller.call(log, "grounding", model, where, prepare, NullListener())
        except ModelError as error:
            raise ToolError(f"the web search failed: {error}") from None
        answer = "".join(block.get("text", "") for block in reply.content)
        return {"answer": answer, "results": [{"url": url} for url in dict.fromkeys(reply.citations)]}

    return search
