"""What Locust's own page shows of the turns of a worker, where it is served."""

from __future__ import annotations

from collections.abc import Callable

from loadgen.load_engine import Environment
from loadgen.transport.answer import Answer


def page_rows(environment: Environment) -> Callable[[Answer], None]:
    """What tells the page of a turn: a request with its E2E, and a row beside it with its TTFT, which is in no sum."""
    fire, entries = environment.events.request.fire, environment.stats.entries

    def on_turn(answer: Answer) -> None:
        name = answer.state.target.spec.kind
        if answer.first_ns:
            entries[name, "TTFT"].log((answer.first_ns - answer.intended_ns) * 1e-6, 0)
        fire(
            request_type="turn",
            name=name,
            response_time=(answer.end_ns - answer.intended_ns) * 1e-6,
            response_length=0,
            exception=None if answer.status == "ok" else RuntimeError(answer.error_code or answer.status),
            context={},
        )

    return on_turn
