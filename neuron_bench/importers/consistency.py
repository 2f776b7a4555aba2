"""What load points say against themselves and each other: flagged where they stand, never repaired, never fitted."""

from __future__ import annotations

import itertools
import json
import math
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import replace

from neuron_bench import checks
from neuron_bench.record import CASES, CaseRow

LITTLE_TOLERANCE_RATIO = 0.10
"""Opening burst and ramp-down let more or fewer than C be in flight on average; beyond a tenth above C the row errs."""
IDLE_RATIO = 0.5
"""A closed loop that kept less than half of its clients busy is no closed loop at that concurrency."""
RAMP_ROUNDS, BUSY_RATIO = 2.0, 0.8
"""Where a row says how many were answered: ramping up and down leaves clients idle for so many rounds at most, and of a
long run this share of them is busy."""
TOKENS_TOLERANCE_RATIO = 0.15
"""Output tokens a second against requests a second times their length: warm-up and stragglers count differently."""
DUPLICATE_TOLERANCE_RATIO = 0.15
"""Two runs of one point that lie further apart are not one configuration: speculation on and off, another image."""
REPEATED_TTFT_RATIO = 2.0
"""First tokens so many times apart at one load: a prefix cache on and off."""
STEP_RATIO = 0.3
"""A first token takes a step, and steps of one load take what its gaps do: below this share its unit is another's."""
STREAMED_RATIO = 0.98
"""First tokens as late as this share of the answer: it came in one piece."""
ANSWER_TOKENS_MIN = 16
DIGITS_MIN = 3
"""Figures of fewer digits repeat by rounding."""
TPOT_S_RANGE, TTFT_S_RANGE = (5e-5, 2.0), (1e-4, 3600.0)
"""No engine is known outside: faster is seconds taken for milliseconds, slower is milliseconds taken for seconds."""
THOUSAND = math.log(1000.0)
_FIGURES = tuple(name for name, kind in CASES.items() if kind in ("float", "int"))


def flagged(rows: Iterable[CaseRow]) -> list[CaseRow]:
    """The rows with every flag that they earn, beside those they had."""
    own = [_joined(row, _of_row(row)) for row in rows]
    together = {"duplicate_disagrees": _duplicates(own), "figures_repeated": _repeated(own)}
    return [
        _joined(row, [name for name, places in together.items() if place in places]) for place, row in enumerate(own)
    ]


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
    if not all(math.isfinite(value) for value in _numbers(row)):
        return ("not_finite",)
    checked = {
        "lengths_missing": row.input_tokens is None or row.output_tokens is None,
        "lengths_not_positive": _below(row.input_tokens, 1) or _below(row.output_tokens, 1),
        "load_missing": row.concurrency is None and row.arrival_rate_per_s is None,
        "load_not_positive": _below(row.concurrency, 1) or _not_positive(row.arrival_rate_per_s),
        "deployment_not_positive": any(_not_positive(value) for value in (row.tp, row.replicas, row.chips_used)),
        "latencies_missing": ttft is None and tpot is None and wall is None,
        "latency_zero": ttft == 0 or wall == 0 or (tpot == 0 and (row.output_tokens or 0) > 1),
        "gaps_of_one_token": bool(tpot) and row.output_tokens == 1,
        "not_streamed": _in_one_piece(row, ttft, wall),
        "ttft_below_a_step": ttft is not None and tpot is not None and 0 < ttft < STEP_RATIO * tpot,
        "statistics_mixed": _mixed(row),
        "milliseconds_for_seconds": _slow_by_a_thousand(row, ttft, tpot, answer_s),
        "seconds_for_milliseconds": _within(tpot, TPOT_S_RANGE[0]) or _within(ttft, TTFT_S_RANGE[0]),
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


def _numbers(row: CaseRow) -> list[float]:
    """Every figure of the row."""
    return [value for name in _FIGURES if (value := getattr(row, name)) is not None]


def _below(value: float | None, low: float) -> bool:
    return value is not None and value < low


def _not_positive(value: float | None) -> bool:
    return value is not None and value <= 0


def _within(value: float | None, low: float) -> bool:
    """Above nothing, and below what any engine does."""
    return value is not None and 0 < value < low


def _in_one_piece(row: CaseRow, ttft: float | None, wall: float | None) -> bool:
    """The first token came with the last: the answer was not streamed, so neither figure is of a step."""
    several = (row.output_tokens or 0) >= ANSWER_TOKENS_MIN
    return several and ttft is not None and wall is not None and ttft >= STREAMED_RATIO * wall > 0


def _slow_by_a_thousand(row: CaseRow, ttft: float | None, tpot: float | None, answer_s: float | None) -> bool:
    """Outside what any engine does, or the stated rates fit times a thousand times shorter."""
    if (tpot is not None and tpot > TPOT_S_RANGE[1]) or (ttft is not None and ttft > TTFT_S_RANGE[1]):
        return True
    rate, load = _rate(row), row.concurrency
    if rate is None or load is None or answer_s is None or min(rate, load, answer_s) <= 0:
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
    low = 0.0 if row.arrival_rate_per_s is not None else _busy_ratio_min(row) * row.concurrency
    return in_flight > row.concurrency * (1 + LITTLE_TOLERANCE_RATIO) or in_flight < low


def _busy_ratio_min(row: CaseRow) -> float:
    """Share of its clients that a closed loop keeps busy at least; none where it sent one wave."""
    if row.n_samples is None or not row.concurrency:
        return IDLE_RATIO
    rounds = row.n_samples / row.concurrency
    return min(max(IDLE_RATIO, rounds / (rounds + RAMP_ROUNDS)), BUSY_RATIO) if rounds > 1 else 0.0


def _tokens_disagree(row: CaseRow) -> bool:
    derived = None
    if row.requests_per_s is not None and row.output_tokens is not None:
        derived = row.requests_per_s * row.output_tokens
    return bool(derived) and checks.disagrees(row.output_tokens_per_s, derived, TOKENS_TOLERANCE_RATIO)


def _disordered(row: CaseRow) -> bool:
    for name in ("ttft_s", "tpot_s", "wall_s"):
        ordered = [getattr(row, f"{name}_{q}", None) for q in ("p50", "p90", "p99")]
        known = [value for value in ordered if value is not None]
        mean, last = getattr(row, f"{name}_mean"), ordered[-1]
        if any(low > high for low, high in itertools.pairwise(known)) or checks.above(mean, last, 0.05):
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
    figures: list[tuple[Callable[[CaseRow], float | None], float]] = [
        (lambda row: middle(row, "tpot_s"), 1 + DUPLICATE_TOLERANCE_RATIO),
        (_rate, 1 + DUPLICATE_TOLERANCE_RATIO),
        (lambda row: middle(row, "ttft_s"), REPEATED_TTFT_RATIO),
    ]
    apart: set[int] = set()
    for places in same.values():
        for figure, ratio in figures:
            known = [value for place in places if (value := figure(rows[place])) is not None and math.isfinite(value)]
            if len(known) > 1 and max(known) > min(known) * ratio:
                apart |= set(places)
    return apart


def _repeated(rows: Sequence[CaseRow]) -> set[int]:
    """Places of rows whose first tokens and gaps are another load's to the last of three digits: not measured twice."""
    same: dict[Hashable, list[int]] = defaultdict(list)
    for place, row in enumerate(rows):
        ttft, tpot = middle(row, "ttft_s"), middle(row, "tpot_s")
        if ttft and tpot and min(_digits(ttft), _digits(tpot)) >= DIGITS_MIN:
            same[(row.model_id, row.chip, row.tp, row.versions, row.label, ttft, tpot)].append(place)
    loads = ((places, {(rows[p].concurrency, rows[p].arrival_rate_per_s) for p in places}) for places in same.values())
    return {place for places, different in loads if len(different) > 1 for place in places}


def _digits(seconds: float) -> int:
    """Digits that a figure was written with."""
    return len(f"{seconds:.9e}".partition("e")[0].replace(".", "").rstrip("0"))


def _configuration(row: CaseRow) -> Hashable:
    return (
        row.model_id, row.chip, row.instance_type, row.chips_used, row.tp, row.replicas, row.dtypes, row.versions,
        row.input_tokens, row.output_tokens, row.concurrency, row.arrival_rate_per_s, row.batch, row.bucket_tokens,
    )  # fmt: skip
