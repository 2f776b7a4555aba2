"""Judges sampled turns with a model of its own choice, client and cost line; never while a run is measured."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from assistant.errors import ModelError
from assistant.models.calls import CallLog, ModelCaller, Prepared
from assistant.models.protocol import ModelRequest
from assistant.quality.sample_buffer import SampledTurn
from facts.reader import Model

RUBRIC = (
    "You judge one answer of a shopping assistant. It is acceptable when it answers what was asked, states nothing that"
    " the given material contradicts or does not support, claims no action that was not taken, and is clear. Answer"
    " with one word first: acceptable or unacceptable. Then give the reason in one sentence."
)
TOKENS_MAX = 80
_VERDICT = re.compile(r"\s*\W*(acceptable|unacceptable)\b", re.I)
COLUMNS = (
    "trace_id", "model", "intent", "complexity", "judge", "simulated", "acceptable", "reason", "status", "cost_usd",
)  # fmt: skip


class _Hears:
    """Notes whether an emulator answered."""

    def __init__(self) -> None:
        self.simulated = False

    async def opened(self, simulated: bool) -> None:
        self.simulated = simulated

    async def text(self, text: str) -> None:
        """The verdict is read when it is whole."""

    def text_now(self, text: str) -> None:
        """The verdict is read when it is whole."""


async def judge(
    turns: Sequence[SampledTurn],
    caller: ModelCaller,
    model: Model,
    region: str,
    clock: Callable[[], float],
    together: int = 1,
) -> list[dict[str, Any]]:
    """One row a turn, in order, with the columns `COLUMNS`; `acceptable` is None where no verdict was to be had.

    Args:
        together: verdicts asked for at once.
    """
    free = asyncio.Semaphore(together)

    async def one(turn: SampledTurn) -> dict[str, Any]:
        async with free:
            return await _scored(turn, caller, model, region, clock)

    return await asyncio.gather(*(one(turn) for turn in turns))


def material(turn: SampledTurn) -> str:
    """What the judge reads of a turn."""
    return f"Customer: {turn.message}\n\nMaterial:\n{turn.context}\n\nAnswer:\n{turn.answer}"


async def _scored(
    turn: SampledTurn, caller: ModelCaller, model: Model, region: str, clock: Callable[[], float]
) -> dict[str, object]:
    def prepare(chosen: Model, at: str) -> Prepared:
        messages = [{"role": "user", "content": [{"text": material(turn)}]}]
        return Prepared(ModelRequest(chosen, at, [{"text": RUBRIC}], messages, max_tokens=TOKENS_MAX))

    log, hears = CallLog(clock()), _Hears()
    text = ""
    try:
        reply, _ = await caller.call(log, "judge", model, region, prepare, hears)
        text = "".join(block.get("text", "") for block in reply.content)
    except ModelError:
        pass  # the call's row says why
    verdict = _VERDICT.match(text)
    return {
        "trace_id": turn.trace_id,
        "model": turn.model,
        "intent": turn.intent,
        "complexity": turn.complexity,
        "judge": model.key,
        "simulated": hears.simulated,
        "acceptable": None if verdict is None else verdict[1].lower() == "acceptable",
        "reason": text[verdict.end() :].strip(" .:-\n") if verdict else text,
        "status": log.rows[-1]["status"],
        "cost_usd": log.rows[-1]["cost_usd"],
    }


def write_judgements(path: Path, rows: Sequence[Mapping[str, object]]) -> Path:
    """`judgements.parquet`."""
    pd.DataFrame(list(rows), columns=list(COLUMNS)).to_parquet(path, index=False)
    return path
