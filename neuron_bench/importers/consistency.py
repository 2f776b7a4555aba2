"""What load points say against themselves and each other: flagged where they stand, never repaired, never fitted."""

from __future__ import annotations

import itertools
import json
import math
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import replace

from neuron_bench import checks
from neuron_bench.record import CaseRow

LITTLE_TOLERANCE_RATIO = 0.10
"""Opening burst and ramp-down let more or fewer than C be in flight on average; beyond a tenth above C the row errs."""
IDLE_RATIO = 0.5
"""A closed loop that kept less than half of its clients busy is no closed loop at that concurrency."""
TOKENS_TOLERANCE_RATIO = 0.15
"""Output tokens a second against requests a second times their length: warm-up and stragglers count differently."""
DUPLICATE_TOLERANCE_RATIO = 0.15
"""Two runs of one point that lie further apart are not one configuration: speculation on and off, another image."""
TPOT_S_RANGE, TTFT_S_RANGE = (5e-5, 2.0), (1e-4, 3600.0)
"""No engine is known outside: faster is seconds taken for milliseconds, slower is milliseconds taken for seconds."""
THOUSAND = math.log(1000.0)


def flagged(rows: Iterable[CaseRow]) -> list[CaseRow]:
    """The rows with every flag that they earn, beside those they had."""
    own = [_joined(row, _of_row(row)) for row in rows]
    doubles = _duplicates(own)
    return [_joined(row, ("duplicate_disagrees",) if place in doubles else ()) for place, row in enumerate(own)]


def _joined(row: CaseRow, more: Sequence[str]) -> CaseRow:
    names = dict.fromkeys([*(name for name in (row.flags or "").split(";") if name), *more])
    return replace(row, flags=";".join(names))


def middle(row: CaseRow, name: str) -> float | None:
    """The mean of `ttft_s`, `tpot_s` or `wall_s`; its median where no mean is given."""
    mean: float | None = getattr(row, f"{name}_mean")
    return mean if mean is not None else getattr(row, f"{name}_p50")


def _of_row(row: CaseRow) -> tuple[str, ...]:
    ttft, tpot, wall = (middle(row, name) for name in ("ttft_s", "tpot_s", "wall_s"))
    answer_s = _answer_s(row, ttft, tpot, wall)
    checked = {
        "lengths_missing": row.input_tokens is None or row.output_tokens is None,
        "load_missing": row.concurrency is None and row.arrival_rate_per_s is None,
        "latencies_missing": ttft is None and tpot is None and wall is None,
        "statistics_mixed": _mixed(row),
        "milliseconds_for_seconds": _slow_by_a_thousand(row, ttft, tpot, answer_s),
        "seconds_for_milliseconds": _below(tpot, TPOT_S_RANGE[0]) or _below(ttft, TTFT_S_RANGE[0]),
        "ttft_above_latency": checks.above(ttft, wall, 0.01),
        "quantiles_out_of_order": _disordered(row),
        "throughput_against_littles_law": _against_little(row, answer_s),
        "tokens_disagree_with_requests": _tokens_disagree(row),
        "truncated": _truncated(row),
        "negative": any(value is not None and value < 0 for value in (ttft, tpot, wall, row.output_tokens_per_s)),
    }
    return tuple(name for name, bad in checked.items() if bad)


def _answer_s(row: CaseRow, ttft: float | None, tpot: float | None, wall: float | None) -> float | None:
    """Mean time of an answer: stated, else from its first token and its gaps."""
    if wall is not None:
        return wall
    if ttft is None or tpot is None or row.output_tokens is None:
        return None
    return ttft + max(row.output_tokens - 1, 0) * tpot


def _mixed(row: CaseRow) -> bool:
    """TTFT by one statistic only and TPOT by another only: mean and median of a loaded engine differ threefold."""
    kinds = [
        {kind for kind in ("mean", "p50") if getattr(row, f"{name}_{kind}") is not None}
        for name in ("ttft_s", "tpot_s")
    ]
    return bool(kinds[0] and kinds[1]) and not kinds[0] & kinds[1]


def _below(value: float | None, low: float) -> bool:
    return value is not None and 0 < value < low


def _slow_by_a_thousand(row: CaseRow, ttft: float | None, tpot: float | None, answer_s: float | None) -> bool:
    """Outside what any engine does, or the stated rates fit times a thousand times shorter."""
    if (tpot is not None and tpot > TPOT_S_RANGE[1]) or (ttft is not None and ttft > TTFT_S_RANGE[1]):
        return True
    rate, load = _rate(row), row.concurrency
    if rate is None or load is None or answer_s is None or answer_s <= 0 or rate <= 0:
        return False
    return abs(math.log(rate * answer_s / load) - THOUSAND) < math.log(2.5)


def _rate(row: CaseRow) -> float | None:
    if row.requests_per_s is not None:
        return row.requests_per_s
    if row.output_tokens_per_s is None or not row.output_tokens:
        return None
    return row.output_tokens_per_s / row.output_tokens


def _against_little(row: CaseRow, answer_s: float | None) -> bool:
    """Rate times time in the system against the clients that there were. Source: Little's law (1961)."""
    rate = _rate(row)
    if rate is None or answer_s is None or row.concurrency is None:
        return False
    in_flight = rate * answer_s
    one_wave = row.n_samples is not None and row.n_samples <= row.concurrency
    low = 0.0 if one_wave or row.arrival_rate_per_s is not None else IDLE_RATIO * row.concurrency
    return in_flight > row.concurrency * (1 + LITTLE_TOLERANCE_RATIO) or in_flight < low


def _tokens_disagree(row: CaseRow) -> bool:
    derived = None
    if row.requests_per_s is not None and row.output_tokens is not None:
        derived = row.requests_per_s * row.output_tokens
    return bool(derived) and checks.disagrees(row.output_tokens_per_s, derived, TOKENS_TOLERANCE_RATIO)


def _disordered(row: CaseRow) -> bool:
    for name in ("ttft_s", "tpot_s", "wall_s"):
        ordered = [getattr(row, f"{name}_{q}", None) for q in ("p50", "p90", "p99")]
        known = [value for value in ordered if value is not None]
        if any(low > high for low, high in itertools.pairwise(known)):
            return True
    return False


def _truncated(row: CaseRow) -> bool:
    """Fewer answers than clients, or open load of which much less was served than sent."""
    done, failed = row.n_samples, sum(json.loads(row.errors or "{}").values())
    if done is None:
        return False
    few = row.concurrency is not None and row.arrival_rate_per_s is None and 0 <= done < row.concurrency
    return done == 0 or few or failed > 0.1 * (done + failed)


def _duplicates(rows: Sequence[CaseRow]) -> set[int]:
    """Places of rows of one configuration and load whose figures lie too far apart to be one thing."""
    same: dict[Hashable, list[int]] = defaultdict(list)
    for place, row in enumerate(rows):
        same[_configuration(row)].append(place)
    figures: list[Callable[[CaseRow], float | None]] = [lambda row: middle(row, "tpot_s"), _rate]
    apart: set[int] = set()
    for places in same.values():
        for figure in figures:
            known = [value for place in places if (value := figure(rows[place])) is not None]
            if len(known) > 1 and max(known) > min(known) * (1 + DUPLICATE_TOLERANCE_RATIO):
                apart |= set(places)
    return apart


def _configuration(row: CaseRow) -> Hashable:
    return (
        row.model_id, row.chip, row.instance_type, row.chips_used, row.tp, row.replicas, row.dtypes, row.versions,
        row.input_tokens, row.output_tokens, row.concurrency, row.arrival_rate_per_s, row.batch, row.bucket_tokens,
    )  # fmt: skip
