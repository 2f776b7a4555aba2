"""Third stage of the router: the small planner model, asked over the wire like any other, with its own `usage` row."""

from __future__ import annotations

from assistant.models.calls import CallLog, ModelCaller, Prepared
from assistant.models.protocol import ModelRequest, NullListener
from assistant.router.route import Planner
from assistant.settings import Stack
from facts.intents import COMPLEXITIES, INTENTS
from facts.reader import Model

_PROMPT = (
    "Classify the customer's message. Answer with one intent and one complexity, nothing else.\n"
    f"Intents: {', '.join(INTENTS)}.\nComplexities: {', '.join(COMPLEXITIES)}."
)
_TOKENS_MAX = 12


def planner_of(stack: Stack, caller: ModelCaller, log: CallLog, region: str) -> Planner | None:
    """Asks the stack's planner model; None where there is none."""
    model = stack.models.get(stack.switches.router.planner_model)
    if model is None:
        return None

    async def ask(message: str) -> str:
        def prepare(chosen: Model, at: str) -> Prepared:
            messages = [{"role": "user", "content": [{"text": message}]}]
            return Prepared(ModelRequest(chosen, at, [{"text": _PROMPT}], messages, max_tokens=_TOKENS_MAX))

        reply, _ = await caller.call(log, "route", model, region, prepare, NullListener())
        return "".join(block.get("text", "") for block in reply.content)

    return ask
