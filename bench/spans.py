"""What spans cost a turn of the assistant: on its path, and beside it.

`python -m bench.spans [--turns 20000]`. A turn of three calls and two tools. On its path is the `TurnTrace` put into
the outbox; beside it are the spans made of it and their protobuf, in the outbox's thread. The reference of the same run
is opentelemetry-sdk: a tracer's six spans, started and ended on the turn's path into a batch processor.
"""

import argparse
import time

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from host.outbox import Outbox
from tests.wire.test_spans import TURN
from wire.otlp import request_bytes
from wire.spans import TurnTrace, turn_spans


class _Nowhere(SpanExporter):
    def export(self, spans):
        return SpanExportResult.SUCCESS


def us_per_turn(turns: int, act) -> float:
    """CPU of this thread, microseconds a turn."""
    before = time.thread_time()
    for _ in range(turns):
        act()
    return (time.thread_time() - before) / turns * 1e6


def main() -> None:
    """Print rows: figure, reference, ratio."""
    parser = argparse.ArgumentParser(prog="python -m bench.spans")
    parser.add_argument("--turns", type=int, default=20_000)
    args, _ = parser.parse_known_args()
    outbox: Outbox[TurnTrace] = Outbox(lambda batch: 0, kept_max=args.turns)
    fields = {name: getattr(TURN, name) for name in TURN.__slots__}

    def put() -> None:
        trace = TurnTrace(**fields)
        outbox.put(trace, trace.parts)

    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(_Nowhere()))
    tracer = provider.get_tracer("bench")
    made = [(span.name, dict(span.attributes)) for span in turn_spans(TURN)]

    def reference() -> None:
        for name, attributes in made:
            tracer.start_span(name, attributes=attributes).end()

    on_path, theirs = us_per_turn(args.turns, put), us_per_turn(args.turns, reference)
    beside = us_per_turn(args.turns // 10, lambda: request_bytes(turn_spans(TURN), {}))
    for where, figure in (("on the turn's path", on_path), ("beside it", beside)):
        print(f"spans  {where:18} {figure:9.2f} us a turn  reference {theirs:8.2f} us  ratio {figure / theirs:.3f}")
    provider.shutdown()


if __name__ == "__main__":
    main()
