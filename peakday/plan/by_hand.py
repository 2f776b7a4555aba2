"""`plan estimate` and `plan slots`: what is counted exactly, as text."""

from __future__ import annotations

import math
from dataclasses import asdict
from pathlib import Path

import numpy as np

from capacity.quotas.estimate import Workload, estimate
from capacity.quotas.slots import slots_needed
from dashboards.numbers.units import show
from host.checked import check
from host.yaml_text import read_yaml
from peakday.errors import CommandError
from scenarios.arrivals import read_replay


def estimate_file(path: Path) -> tuple[str, dict[str, object]]:
    """Read, count, say.

    Raises:
        CommandError: a missing file, or a key that is unknown, missing or out of range.
    """
    work = check(Workload, read_yaml(path, error=CommandError), str(path), error=CommandError)
    made = estimate(work)
    reserved = "" if made.tpm_reserved is None else f", {made.tpm_reserved:,.0f} with max_tokens reserved"
    counted = f"{made.tpm_uncached:,.0f} tokens with every input token counted{reserved}"
    lines = [
        f"{work.name}: {work.sessions:,.0f} sessions of {work.questions_per_session:g} questions, "
        f"{work.tools.rounds + 1} calls a question",
        f"  tokens       {made.cache_write_tokens:,.0f} written, {made.cache_read_tokens:,.0f} read, "
        f"{made.input_tokens:,.0f} uncached, {made.output_tokens:,.0f} answered",
        f"  cost         {show(made.usd, 'usd')}, without a cache {show(made.usd_without_cache, 'usd')}: "
        f"{made.saved_ratio:.1%} saved",
        f"  peak minute  {made.rpm:,.2f} requests; {counted}",
        f"               {made.tpm_settled:,.0f} tokens as charged at the end, cache reads left out",
    ]
    return "\n".join(lines), {"name": work.name, **asdict(made), "saved_ratio": made.saved_ratio}


def coefficients_of(text: str) -> tuple[float, float, float]:
    """Of `a,b,c`.

    Raises:
        CommandError: not three numbers.
    """
    try:
        a, b, c = (float(part) for part in text.split(","))
    except ValueError:
        raise CommandError(f"--service {text!r}: expected three numbers a,b,c, such as 0.2,0.0001,0.02") from None
    return a, b, c


def slots_of_log(
    log: Path, coefficients: tuple[float, float, float], wait_s: float, quantile: float
) -> tuple[str, dict[str, object]]:
    """Slots for a wait SLO over a log, where a call takes a + b x input + c x output seconds.

    Raises:
        CommandError: a negative coefficient, or no service time at all; a log without the lengths that they need.
        ScenarioError: the log cannot be read.
    """
    a, b, c = coefficients
    if min(coefficients) < 0 or not any(coefficients):
        raise CommandError(f"--service {a:g},{b:g},{c:g}: expected seconds >= 0, not all 0: a, a token in, a token out")
    replay = read_replay(log)
    for name, per_token, tokens in (("input", b, replay.input_tokens), ("output", c, replay.output_tokens)):
        if per_token and tokens is None:
            raise CommandError(f"{log}: no column of {name} tokens, which --service needs; give 0 for that coefficient")
    times = np.full(len(replay.offset_s), a)
    for per_token, tokens in ((b, replay.input_tokens), (c, replay.output_tokens)):
        times = times + (per_token * np.asarray(tokens) if per_token and tokens is not None else 0.0)
    order = np.argsort(replay.offset_s, kind="stable")
    made = slots_needed(np.asarray(replay.offset_s)[order], times[order], wait_s, quantile)
    text = (
        f"{log}: {len(times):,} calls, {made.offered_load_erlang:.4g} erlang offered\n"
        f"  slots        {made.slots:,} keep the wait at {quantile:.4g} within {wait_s:g} s: {made.wait_s:.4g} s\n"
        f"  one fewer    {made.one_fewer_wait_s:.4g} s"
    )
    fewer = None if math.isnan(made.one_fewer_wait_s) else made.one_fewer_wait_s
    return text, {**asdict(made), "one_fewer_wait_s": fewer, "calls": len(times)}
