"""`--otlp`: where spans go, and those of a load run, made of its record once it is over."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from facts.stack import Otlp
from host.environment import peakday_version
from host.errors import Exit
from host.fetch import FetchError
from host.outbox import TRIES
from loadgen.record import Run, load_run
from peakday.config import load_config
from peakday.errors import CommandError
from peakday.guard import Named, admit, check_allowed, check_answers, checked_url
from wire.spans import RunTrace, Span, Value, offered_turn_span, run_span

if TYPE_CHECKING:  # wire.otlp needs an extra
    from wire.otlp import Taken

OPTION = "--otlp"
COLUMNS = (
    "session_id", "interaction_id", "turn_index", "trace_id", "intent", "complexity", "route", "region", "status",
    "error_code", "intended_start_s", "start_lag_s", "ttft_s", "e2e_s", "e2e_from_send_s", "output_tokens", "cost_usd",
)  # fmt: skip
EXPORT_WITHIN_S = 120.0
"""Of all spans of a run, however slowly a receiver takes each batch. A choice of ours."""


def named_receiver(url: str) -> Named:
    """A receiver that may be named: allowed, and the extra is here; nothing is contacted.

    Raises:
        CommandError: not owned (exit 2), or opentelemetry is not installed (exit 5).
    """
    named = Named("http", checked_url(url, OPTION))
    check_allowed(named, load_config(), OPTION)
    if not _installed():
        raise CommandError(f"{OPTION} needs opentelemetry: pip install 'peakday[otel]'", Exit.ENVIRONMENT)
    return named


def receiver(named: Named, run_id: str | None = None) -> Otlp:
    """A receiver that answers, at the addresses that its host has.

    Raises:
        CommandError: its host has no address, or nothing answers there (exit 5).
    """
    target = admit(named, load_config(), OPTION)
    check_answers(target, OPTION)
    return Otlp(named.url, target.addresses, run_id)


def export_run(folder: Path, otlp: Otlp) -> str:
    """Send the spans of a finished run; returns a line that says how many were taken and how many were not.

    A receiver that takes a batch at none of three tries, or lets all of it last too long, gets no more of them.
    """
    from wire.otlp import SPANS_MAX, sender

    run = load_run(folder, columns={"turns": list(COLUMNS), "calls": [], "tools": []})
    trace = run_trace(run)
    if trace is None:
        return f"{OPTION}: the run has no t0, so its turns have no time; no span was sent"
    resource = {"service.name": "peakday-loadgen", "service.version": peakday_version()}
    delivery = _Delivery(sender(otlp.url, otlp.addresses, resource), time.monotonic() + EXPORT_WITHIN_S)
    spans = run_spans(run, trace)
    while batch := list(islice(spans, SPANS_MAX)):
        delivery.add(batch)
    why = f" ({delivery.why})" if delivery.why else ""
    return f"{OPTION}: {delivery.sent:,} spans of the load generator sent, {delivery.lost:,} dropped{why}"


@dataclass
class _Delivery:
    """Batches on their way to a receiver. `ended`: it gets no more of them."""

    send: Callable[[Sequence[Span]], Taken]
    until_s: float
    sent: int = 0
    lost: int = 0
    why: str = ""
    ended: bool = False

    def add(self, batch: Sequence[Span]) -> None:
        """Send a batch, and count what became of it."""
        if not self.ended and time.monotonic() > self.until_s:
            self.ended, self.why = True, f"not all sent within {EXPORT_WITHIN_S:g} s"
        answer = None if self.ended else self._tried(batch)
        if answer is not None:
            self.why = answer.words or self.why
        refused = len(batch) if answer is None else answer.refused
        self.sent, self.lost = self.sent + len(batch) - refused, self.lost + refused

    def _tried(self, batch: Sequence[Span]) -> Taken | None:
        for tries in range(TRIES):
            try:
                return self.send(batch)
            except FetchError as error:
                why, pause_s = str(error), error.pause_s(tries)
            if pause_s is None:  # this batch is refused; the next one may be taken
                break
            if tries + 1 < TRIES:
                time.sleep(pause_s)
        self.ended, self.why = pause_s is not None, why
        return None


def run_spans(run: Run, trace: RunTrace) -> Iterator[Span]:
    """The run's span, then its turns in the order of the record."""
    yield run_span(trace)
    columns = {name: run.turns[name].astype(object).where(run.turns[name].notna(), None) for name in COLUMNS}
    for values in zip(*columns.values(), strict=True):
        yield offered_turn_span(trace, dict(zip(columns, values, strict=True)))


def run_trace(run: Run) -> RunTrace | None:
    """The run as its turns' parent; None where the record does not say when its t0 was."""
    info = run.info
    if info.t0_utc is None:
        return None
    started_ns = int(datetime.fromisoformat(info.t0_utc).timestamp() * 1e9)
    totals = info.totals
    attributes: dict[str, Value | None] = {
        "peakday.seed": info.seed,
        "peakday.scenario.hash": info.scenario.hash if info.scenario else None,
        "peakday.valid": info.valid,
        "peakday.turns": totals.asked if totals else None,
        "peakday.cost_usd": totals.cost_usd if totals else None,
    }
    ended_ns = started_ns + int((info.asked_s or 0.0) * 1e9)
    return RunTrace(run.run_id, info.scenario_name, started_ns, ended_ns, attributes)


def _installed() -> bool:
    try:
        return find_spec("opentelemetry.proto.collector") is not None
    except ModuleNotFoundError:
        return False
