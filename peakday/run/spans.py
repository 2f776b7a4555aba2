"""`--otlp`: where spans go, and those of a load run, made of its record once it is over."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from importlib.util import find_spec
from itertools import islice
from pathlib import Path

from facts.stack import Otlp
from host.environment import peakday_version
from host.errors import Exit
from host.fetch import FetchError
from loadgen.record import Run, load_run
from peakday.config import load_config
from peakday.errors import CommandError
from peakday.guard import Named, admit, check_allowed, check_answers, checked_url
from wire.spans import RunTrace, Span, Value, offered_turn_span, run_span

OPTION = "--otlp"
COLUMNS = (
    "session_id", "interaction_id", "turn_index", "trace_id", "intent", "complexity", "route", "region", "status",
    "error_code", "intended_start_s", "start_lag_s", "ttft_s", "e2e_s", "e2e_from_send_s", "output_tokens", "cost_usd",
)  # fmt: skip
BATCH_SPANS = 2_000


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
    """Send the spans of a finished run; returns a line that says how many were taken and how many were not."""
    from wire.otlp import sender

    run = load_run(folder, columns={"turns": list(COLUMNS), "calls": [], "tools": []})
    trace = run_trace(run)
    if trace is None:
        return f"{OPTION}: the run has no t0, so its turns have no time; no span was sent"
    resource = {"service.name": "peakday-loadgen", "service.version": peakday_version()}
    send = sender(otlp.url, otlp.addresses, resource)
    spans, sent, lost, why = run_spans(run, trace), 0, 0, ""
    while batch := list(islice(spans, BATCH_SPANS)):
        try:
            refused = send(batch)
        except FetchError as error:
            refused, why = len(batch), f" ({error})"
        sent, lost = sent + len(batch) - refused, lost + refused
    return f"{OPTION}: {sent:,} spans of the load generator sent, {lost:,} dropped{why}"


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
