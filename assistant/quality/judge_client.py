"""The judge's own side: a client, a retry and a budget of its own, apart from any turn that is measured."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

from assistant.metrics import Metrics
from assistant.models.calls import ModelCaller
from assistant.models.connections import connect
from assistant.quality.judge import RUBRIC, TOKENS_MAX, judge, material
from assistant.quality.sample_buffer import SampledTurn
from assistant.settings import Stack
from facts.reader import Model
from facts.stack import Retry, Switches

_TOGETHER = 8
"""Verdicts asked for at once: enough to be quick, too few to meet a quota."""
_TOTAL_ATTEMPTS = 3
_BYTES_PER_TOKEN = (5.0, 4.0, 3.0)
"""Assumed for the estimate alone; what a verdict cost is counted by the model."""
_VERDICT_TOKENS = (20, 40, TOKENS_MAX)


@dataclass(frozen=True)
class Judge:
    """Who judges, and where. `bedrock_url` None: AWS's own endpoint; `live`: sign with the account's credentials."""

    model: Model
    region: str
    live: bool
    bedrock_url: str | None = None
    openai_url: str | None = None


def expected_usd(turns: Sequence[SampledTurn], model: Model) -> tuple[float, float, float] | None:
    """Dollars (low, mid, high) of judging these turns, list prices; None where the model has no token price."""
    if model.prices is None:
        return None
    size = sum(len(RUBRIC) + len(material(turn).encode()) for turn in turns)
    low, mid, high = (
        model.prices.cost_usd(size / ratio, 0, 0, 0, tokens * len(turns))
        for ratio, tokens in zip(_BYTES_PER_TOKEN, _VERDICT_TOKENS, strict=True)
    )
    return low, mid, high


def within(turns: Sequence[SampledTurn], model: Model, budget_usd: float | None) -> list[SampledTurn]:
    """The first turns whose upper bounds together stay within a budget; all of them without one."""
    kept: list[SampledTurn] = []
    left_usd = budget_usd
    for turn in turns:
        bound = expected_usd([turn], model)
        if left_usd is not None and bound is not None:
            left_usd -= bound[2]
            if left_usd < 0:
                break
        kept.append(turn)
    return kept


def judge_all(turns: Sequence[SampledTurn], by: Judge) -> list[dict[str, object]]:
    """One row a turn, in order (`judge.COLUMNS`), over connections that are made for this and closed after it.

    Raises:
        AssistantError: live, and no credentials are found.
    """

    async def work() -> list[dict[str, object]]:
        stack = _stack(by)
        clients = connect(stack)
        try:
            caller = ModelCaller(stack, clients, Metrics(), perf_counter)
            return await judge(turns, caller, by.model, by.region, perf_counter, together=_TOGETHER)
        finally:
            for client in clients.values():
                await client.close()

    return asyncio.run(work())


def rehearsed_verdicts(
    turns: Sequence[SampledTurn], acceptable_ratio: Mapping[tuple[str, str], float]
) -> dict[str, object]:
    """Conversations from which an emulator scores: a word that reads like a verdict, and says nothing about quality.

    Args:
        acceptable_ratio: share of turns called acceptable, by model and complexity; the turn's own text decides which.
    """
    answers = {}
    for turn in turns:
        text = material(turn)
        digest = hashlib.sha256(text.encode())
        share = int.from_bytes(digest.digest()[:4]) / 2**32
        good = share < acceptable_ratio.get((turn.model, turn.complexity), 1.0)
        word = "acceptable" if good else "unacceptable"
        answers[digest.hexdigest()] = {"rounds": [], "answer_tokens": 8, "says": f"{word}. An emulator said so."}
    return {"schema": "peakday.conversations/1", "answers": answers, "default": {"rounds": [], "answer_tokens": 8}}


def _stack(by: Judge) -> Stack:
    """A stack of one model: no spill, and retries, for nothing is measured here."""
    return Stack(
        seed=1,
        live=by.live,
        models={by.model.key: by.model},
        marketplaces={},
        regions=(by.region,),
        bedrock_url=by.bedrock_url,
        openai_url=by.openai_url,
        switches=Switches(retry=Retry(total_attempts=_TOTAL_ATTEMPTS)),
        catalogue=Path(),
        store=Path(),
    )
