"""Recorder: what a worker counts, bins and buffers, and the cumulative snapshot it sends to the master."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping

import numpy as np

from facts.tokens import TOKEN_CLASSES
from loadgen.live import Snapshot
from loadgen.schedule.session import SessionState
from loadgen.transport.answer import Answer
from loadgen.worker.row_gate import KEPT_TEXT_LENGTH_MAX
from loadgen.worker.rows import TURN_COLUMNS, TURN_KEY, Row, call_rows, tool_rows, turn_row
from loadgen.worker.sample_buffer import RemoteSampleBuffer, SampleBuffer
from slo.histogram import Histogram
from slo.slo import WAITED_COLUMN

METRICS = ("ttft_s", "e2e_s", "ttft_from_send_s", "e2e_from_send_s", "tpot_s", "gap_s", "start_lag_s", "route_s")
_COLUMNS = {metric: TURN_COLUMNS.index(metric) for metric in METRICS if metric != "gap_s"}
_WITHOUT_ANSWER = (_COLUMNS["start_lag_s"], _COLUMNS["route_s"])
"""Columns that count for turns of every status."""
_FAULTS_KEPT = 20
CODES_MAX = 50
"""Error codes that are counted apart: a target may send a new one with every answer."""
OTHER_CODES = "other"
_ADDED_UP = (*TOKEN_CLASSES, "cost_usd")
"""Columns of a call that are summed while the run goes on."""
ASKED = ("asked", "completed", "failed", "abandoned", "censored", "dropped")
BESIDE = ("sent", "unsent", "resent", "left_open", "went_on")
"""What else is counted of turns; `left_open`: their bodies went on after the end they said, `went_on`: so did they."""
OUTCOME = {"ok": "completed", "abandoned": "abandoned", "censored": "censored", "dropped": "dropped"}
"""Counter of each turn status; every other one counts as failed. asked is always the sum of the five."""


class Recorder:
    """Counters, histograms and rows of one worker.

    Args:
        on_turn: called with every turn, for the load engine's own page.
        keep_text: the messages by id where questions and answers are to be kept; None keeps no text.
    """

    def __init__(
        self,
        worker: int,
        buffer: SampleBuffer | RemoteSampleBuffer,
        gaps_ns: array[int],
        on_turn: Callable[[Answer], None] | None = None,
        keep_text: Mapping[str, Mapping[str, object]] | None = None,
    ) -> None:
        self.worker = worker
        self.t0_ns = 0
        self.counters: dict[str, float] = dict.fromkeys((*ASKED, *BESIDE, "faults"), 0)
        self.errors: dict[str, int] = {}
        self.error_samples: dict[str, str] = {}
        self.faults: list[str] = []
        self.supplies: dict[str, bool] = {}
        self._buffer = buffer
        self.gaps_ns = gaps_ns
        self._values = {metric: array("d") for metric in METRICS}
        self._answered = [(column, self._values[metric]) for metric, column in _COLUMNS.items()]
        self._always = [one for one in self._answered if one[0] in _WITHOUT_ANSWER]
        self._waited = [
            (_COLUMNS[metric], _COLUMNS[waited], self._values[metric]) for metric, waited in WAITED_COLUMN.items()
        ]
        self._histograms = {metric: Histogram() for metric in METRICS}
        self._sequence = 0
        self._on_turn = on_turn
        self._messages = keep_text

    def turn(self, state: SessionState, answer: Answer) -> None:
        """Record a turn that has ended, however it did."""
        row = turn_row(state, answer, self.t0_ns)
        self._buffer.add("turns", row)
        key = row[TURN_KEY]
        for call in call_rows(key, answer):
            self._buffer.add("calls", call)
        if answer.tools:
            for tool in tool_rows(key, answer):
                self._buffer.add("tools", tool)
        if self._messages is not None:
            question = self._messages[state.turn.message_id]["text"]
            self._buffer.add("texts", [*key, question, answer.full_text()[:KEPT_TEXT_LENGTH_MAX]])
        self._count(answer, row)
        if self._on_turn is not None:
            self._on_turn(answer)

    def _count(self, answer: Answer, row: Row) -> None:
        counters = self.counters
        outcome = OUTCOME.get(answer.status, "failed")
        counters[outcome] += 1
        if outcome == "failed":
            self._count_error(answer.error_code or answer.status, answer.error_text)
        elif outcome == "completed":
            self._account(answer)
        for column, values in self._answered if answer.status == "ok" else self._always:
            value = row[column]
            if value is not None:
                values.append(value)
        if answer.status != "ok":
            self._count_wait(row)

    def _count_error(self, code: str, sample: str) -> None:
        """Count a code, and keep what was first said with it; beyond `CODES_MAX` kinds all others are one."""
        if code not in self.errors and len(self.errors) >= CODES_MAX:
            code = OTHER_CODES
        self.errors[code] = self.errors.get(code, 0) + 1
        if sample:
            self.error_samples.setdefault(code, sample)

    def _count_wait(self, row: Row) -> None:
        """A turn that waited in vain enters the live histograms at the time it waited, a lower bound."""
        for column, waited, values in self._waited:
            if row[waited] is not None:
                values.append(row[waited] if row[column] is None else row[column])

    def _account(self, answer: Answer) -> None:
        """Tokens, dollars and supplies of a turn that was answered."""
        counters = self.counters
        simulated = bool(answer.meta.get("simulated"))
        for call in answer.calls:
            supply = call.get("supply")
            if isinstance(supply, str) and supply and (supply in self.supplies or len(self.supplies) < CODES_MAX):
                self.supplies[supply] = self.supplies.get(supply, False) or simulated
            for name in _ADDED_UP:
                value = call.get(name)
                if value and (type(value) is int or type(value) is float):
                    counters[name] = counters.get(name, 0) + value

    def fault(self, error: BaseException) -> None:
        """Note an exception of our own: it voids the run."""
        self.counters["faults"] += 1
        if len(self.faults) < _FAULTS_KEPT:
            self.faults.append(f"{type(error).__name__}: {error}"[:300])

    def generator(self, row: list[object]) -> None:
        """Record a second of the generator's own health."""
        self._buffer.add("generator", row)

    def event(self, row: list[object]) -> None:
        """Record a request of a background stream."""
        self._buffer.add("events", row)

    def flush(self) -> None:
        """Bin what has been collected, and hand the rows on."""
        if self.gaps_ns:
            self._histograms["gap_s"].add(np.array(self.gaps_ns, dtype=np.float64) * 1e-9)
            del self.gaps_ns[:]
        for metric, values in self._values.items():
            if values:
                self._histograms[metric].add(np.array(values, dtype=np.float64))
                del values[:]
        self._buffer.flush()

    def close(self) -> None:
        """No row comes after this; snapshots still may."""
        self._buffer.close()

    def snapshot(self, *, last: bool = False) -> Snapshot:
        """Everything so far, cumulative and numbered. last: with all rows that the master has not acknowledged."""
        self.flush()
        self._sequence += 1
        return {
            "worker": self.worker,
            "seq": self._sequence,
            "counters": dict(self.counters),
            "errors": dict(self.errors),
            "error_samples": dict(self.error_samples),
            "faults": list(self.faults),
            "supplies": dict(self.supplies),
            "histograms": {metric: histogram.to_json() for metric, histogram in self._histograms.items()},
            "rows": self._buffer.take(everything=last) if isinstance(self._buffer, RemoteSampleBuffer) else [],
        }

    def acknowledged(self, through: int) -> None:
        """The master has this worker's rows up to that batch."""
        if isinstance(self._buffer, RemoteSampleBuffer):
            self._buffer.acknowledged(through)

    @property
    def rows_wait(self) -> bool:
        """Whether rows are on this machine alone."""
        return isinstance(self._buffer, RemoteSampleBuffer) and self._buffer.waits
