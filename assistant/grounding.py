"""Web search by a model that can: one nested call with its own `usage` row, cost and region."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from assistant.calls import CallLog, ModelCaller, Prepared
from assistant.clients.protocol import ModelRequest, ToolConfig, Unheard
from assistant.errors import ModelError
from assistant.settings import Stack
from assistant.tools.spec import Result, ToolError
from facts.reader import Model

GROUNDING_TOOL = ToolConfig(converse=b'{"tools":[{"systemTool":{"name":"nova_grounding"}}]}', openai=b"[]")
"""Source: Amazon Nova user guide, web grounding: system tool `nova_grounding`, answers carry citationsContent."""
_SYSTEM = "Search the web and answer in a few sentences. Every statement needs a source."
_TOKENS_MAX = 600


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
                    tools=GROUNDING_TOOL,
                    max_tokens=_TOKENS_MAX,
                )
            )

        try:
            reply, _ = await caller.call(log, "grounding", model, where, prepare, Unheard())
        except ModelError as error:
            raise ToolError(f"the web search failed: {error}") from None
        answer = "".join(block.get("text", "") for block in reply.content)
        return {"answer": answer, "results": [{"url": url} for url in dict.fromkeys(reply.citations)]}

    return search
