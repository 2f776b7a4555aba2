"""The generator's own error on this machine: its times against those the emulator stamped just before sending."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypedDict

import numpy as np

from host.control_token import control_headers
from host.fetch import fetch
from loadgen.job import LoadError, LoadJob
from loadgen.record import load_run
from loadgen.run import run_load
from loadgen.run_info import Totals
from slo.quantiles import Quantile

TRUTH_WITHIN_S = 10.0
TRUTH_BYTES_MAX = 256 * 2**20


@dataclass(frozen=True)
class SelfCheck:
    """What a rate costs in truth here. Errors are ours minus the truth, in seconds: p50 and p99 of matched turns."""

    rate_per_s: float
    asked: int
    matched: int
    sent_ratio: float
    ttft_error_s: tuple[float, float]
    start_lag_s: tuple[float, float]
    cpu_ratio_max: float
    valid: bool
    reasons: tuple[str, ...]


class TrueTimes(TypedDict, total=False):
    """Of one request, by the emulator's clock."""

    traceparent: str | None
    received_s: float | None
    first_sent_s: float | None


def self_check(job: LoadJob) -> SelfCheck:
    """Run a job against the emulator and compare.

    Args:
        job: an `openai` target on the emulator, with `emulator_url` and a short `rate_per_s` and `for_s`.

    Raises:
        LoadError: no emulator to compare with, or no turn that it knows.
    """
    if job.emulator_url is None:
        raise LoadError("a self check needs the emulator: it alone stamps what it truly sent")
    outcome = run_load(job)
    run = load_run(outcome.run_dir)
    answered = run.turns[run.turns["status"].eq("ok") & run.turns["ttft_from_send_s"].notna()]
    ours = zip(answered["trace_id"], answered["ttft_from_send_s"], strict=True)
    errors_s = ttft_errors_s(list(ours), truth(job.emulator_url))
    if not len(errors_s):
        raise LoadError("the emulator knows none of the turns that were sent; run again")
    totals = outcome.info.totals or Totals()
    lag_s = [_value(outcome.info.quantile("start_lag_s", share)) for share in ("p50", "p99")]
    return SelfCheck(
        rate_per_s=job.rate_per_s or totals.achieved_rate_per_s or 0.0,
        asked=totals.asked,
        matched=len(errors_s),
        sent_ratio=totals.sent / max(1, totals.asked),
        ttft_error_s=(float(np.quantile(errors_s, 0.5)), float(np.quantile(errors_s, 0.99))),
        start_lag_s=(lag_s[0], lag_s[1]),
        cpu_ratio_max=float(run.generator["cpu_ratio"].max()),
        valid=outcome.info.valid,
        reasons=outcome.info.reasons,
    )


def _value(quantile: Quantile | None) -> float:
    return math.nan if quantile is None or quantile.value is None else quantile.value


def truth(emulator_url: str) -> list[TrueTimes]:
    """What the emulator truly sent, newest last."""
    answer = fetch(
        f"{emulator_url}/truth",
        within_s=TRUTH_WITHIN_S,
        bytes_max=TRUTH_BYTES_MAX,
        headers=control_headers(emulator_url),
    )
    return list(json.loads(answer)["requests"])


def ttft_errors_s(turns: Sequence[tuple[str, float]], requests: Sequence[TrueTimes]) -> np.ndarray:
    """Our TTFT from sending minus the server's, turn by turn: (trace id, seconds), matched by trace."""
    sent = {
        trace.split("-")[1]: first_s - received_s
        for row in requests
        if (trace := row.get("traceparent"))
        and (first_s := row.get("first_sent_s"))
        and (received_s := row.get("received_s"))
    }
    errors_s = [ttft_s - sent[trace_id] for trace_id, ttft_s in turns if trace_id in sent]
    return np.array(errors_s, dtype=np.float64)
