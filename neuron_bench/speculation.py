"""Speculative (parallel) decoding as what it measurably does: tokens a step, at the acceptance it was measured with.

Never with random weights: a draft that guesses noise is accepted at random, and its speed would be an invention.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from neuron_bench.errors import BenchUsageError


@dataclass(frozen=True)
class Speculation:
    """acceptance_ratio: drafted tokens that were kept. multiplier: tokens/s with over without, same server and load."""

    draft_tokens: int
    acceptance_ratio: float
    tokens_per_step: float
    multiplier: float


def speculation(
    plain: dict[str, Any], drafted: dict[str, Any], *, draft_tokens: int, tokens_per_step: float
) -> Speculation:
    """From two rows of one load, without and with drafting, and the server's mean accepted length.

    tokens_per_step: mean tokens a step yields, the bonus token included, in [1, draft_tokens + 1]. Acceptance of the
    drafted tokens follows: (tokens_per_step - 1) / draft_tokens.

    Raises:
        BenchUsageError: random weights, another load, or a length that cannot be.
    """
    if plain.get("weights_random") is not False or drafted.get("weights_random") is not False:
        raise BenchUsageError("speculative decoding is measured with real weights only: random ones accept at random")
    for name in ("model_id", "chip", "phase", "input_tokens", "output_tokens", "concurrency"):
        if plain.get(name) != drafted.get(name):
            raise BenchUsageError(f"{name} differs ({plain.get(name)} and {drafted.get(name)}): not one load")
    if not 1 <= tokens_per_step <= draft_tokens + 1:
        raise BenchUsageError(f"tokens_per_step is {tokens_per_step}, expected 1 to {draft_tokens + 1}")
    return Speculation(
        draft_tokens=draft_tokens,
        acceptance_ratio=(tokens_per_step - 1) / draft_tokens,
        tokens_per_step=tokens_per_step,
        multiplier=drafted["output_tokens_per_s"] / plain["output_tokens_per_s"],
    )
