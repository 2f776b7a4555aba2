"""What a simulated engine is given and what it gives back: arrays, one element a request."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from host.errors import Exit, PeakdayError

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


class ServiceError(PeakdayError, ValueError):
    """A workload that no replica can serve, or a step model that cannot be used; one line with the remedy."""

    page = "capacity-models"

    exit_code = Exit.INCONCLUSIVE


@dataclass(frozen=True)
class Requests:
    """Model calls to serve. All arrays have shape [n] and arrival_s is sorted.

    cached_tokens: prompt tokens found in the prefix cache of the first replica a request may go to; they need no
        prefill but hold KV and are attended to; < input_tokens.
    decode_steps: steps after the first token; output_tokens - 1 without speculation, fewer with it.
    away_cached_tokens: what a request finds on any other replica it may go to: with prefix affinity, less.
    begun_steps: steps it has already made when it arrives, the one that gave its first token included; 0 = none. It
        decodes at once with the KV it brings: a warm start, or a replica that only decodes; <= decode_steps.
    """

    arrival_s: Floats
    input_tokens: Ints
    output_tokens: Ints
    cached_tokens: Ints
    decode_steps: Ints
    away_cached_tokens: Ints
    begun_steps: Ints

    def __len__(self) -> int:
        return len(self.arrival_s)


@dataclass(frozen=True)
class Served:
    """When each request got its first token and its last, and on which replica. Shape [n] each.

    first_s: NaN of a request that had its first token when it arrived. admitted_s: when the engine took it up for the
    first time; what lies before is its queue.
    """

    first_s: Floats
    end_s: Floats
    replica: Ints
    preemptions: int
    steps: int
    busy_s: float
    admitted_s: Floats


def requests(
    arrival_s: npt.ArrayLike,
    input_tokens: npt.ArrayLike,
    output_tokens: npt.ArrayLike,
    cached_tokens: npt.ArrayLike = 0,
    decode_steps: npt.ArrayLike | None = None,
    *,
    away_cached_tokens: npt.ArrayLike | None = None,
    begun_steps: npt.ArrayLike = 0,
) -> Requests:
    """Checked `Requests`; scalars are repeated. away_cached_tokens: None = every replica holds the same.

    Raises:
        ServiceError: unsorted arrivals, an empty prompt or answer, more cached tokens than the prompt has, or a request
            that has begun and has no step left.
    """
    arrival = np.asarray(arrival_s, dtype=np.float64)
    n = arrival.size

    def whole(values: npt.ArrayLike) -> Ints:
        return np.broadcast_to(np.asarray(values, dtype=np.int64), (n,)).copy()

    prompt, answer, cached = whole(input_tokens), whole(output_tokens), whole(cached_tokens)
    steps = answer - 1 if decode_steps is None else whole(decode_steps)
    away, begun = cached if away_cached_tokens is None else whole(away_cached_tokens), whole(begun_steps)
    if not np.isfinite(arrival).all() or (n and (np.diff(arrival) < 0).any()):
        raise ServiceError("arrival_s must be finite and sorted")
    if n and (prompt.min() < 1 or answer.min() < 1):
        raise ServiceError("a request needs at least one input and one output token")
    if n and ((cached < 0) | (cached >= prompt) | (away < 0) | (away >= prompt)).any():
        raise ServiceError("cached_tokens must be >= 0 and less than input_tokens: the last token is always computed")
    if ((steps < 0) | (steps > answer - 1) | ((steps == 0) != (answer == 1))).any():
        raise ServiceError("decode_steps must lie between 1 and output_tokens - 1, and be 0 for a single token")
    if ((begun < 0) | (begun > steps)).any():
        raise ServiceError("begun_steps must lie between 0 and decode_steps: a request that ended does not arrive")
    return Requests(arrival, prompt, answer, cached, steps, away, begun)
