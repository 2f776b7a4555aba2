"""Driver: starts every turn at its own time, whatever the target does, and ends each one exactly once.

Open loop: first turns are due when the plan says, later ones when the customer has read and typed. Nothing waits for a
free slot; a turn over the in-flight cap is recorded as dropped. All methods run in the hub and none blocks.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable

from loadgen.schedule.session import SessionState
from loadgen.transport.answer import END_GRACE_S, Answer
from loadgen.transport.connection import Connection, now_ns
from loadgen.transport.pool import Pool
from loadgen.transport.timer import Timer
from loadgen.worker.abort_rules import Budget, OverBoundError, believable_usd
from loadgen.worker.recorder import Recorder
from loadgen.worker.row_gate import screen

_NS = 1_000_000_000
_END_GRACE_NS = int(END_GRACE_S * _NS)


def give_up(answer: Answer, status: str, code: str, recorder: Recorder) -> None:
    """Abort an answer's request; the answer has ended afterwards. What goes wrong in that voids the run."""
    try:
        answer.connection.abort(status, code)
    except Exception as error:
        recorder.fault(error)
    if not answer.end_ns:
        recorder.fault(RuntimeError(f"a request was forgotten by its connection ({code})"))
        answer.fail(now_ns(), status, code)


class Driver:
    """The turns of one worker.

    Args:
        timer: `timer.at(due_ns)` calls `wake` at that time; an earlier time replaces a later one.
        pools: connections by target.
        in_flight_max: turns this worker may have open at once.
        timeout_s: how long a turn may take from its sending.
        on_done: called once, when everything offered has ended.
        budget: reserves a turn's dollars before it starts. A turn it cannot pay yet waits for a grant, in order; the
            end of the budget ends this worker's asking.
        users: None for the open loop. A number is the closed loop, which asks for the next session only when one has
            ended: it slows down with the target, and so hides the target's slowness (coordinated omission).
    """

    def __init__(
        self,
        timer: Timer,
        pools: dict[int, Pool],
        recorder: Recorder,
        *,
        in_flight_max: int,
        timeout_s: float,
        on_done: Callable[[], None],
        users: int | None = None,
        budget: Budget | None = None,
    ) -> None:
        self.arrivals: deque[tuple[int, SessionState]] = deque()
        self.dispatch_lag_ns_max = 0
        self._timer = timer
        self._pools = pools
        self._recorder = recorder
        self._in_flight_max = in_flight_max
        self._timeout_ns = int(timeout_s * _NS)
        self._on_done: Callable[[], None] | None = on_done
        self._later: list[tuple[int, int, SessionState]] = []
        self._patience: list[tuple[int, int, Answer]] = []
        self._users_waiting = users
        self._filling = False
        self._budget = budget or Budget(None, 0.0)
        self._unpaid: deque[tuple[int, SessionState]] = deque()
        self._paying = False
        self._sequence = 0
        self._open: dict[Answer, None] = {}
        self._said: deque[tuple[int, Answer]] = deque()  # said their end, and may yet say more: when that is over
        self._bodies: dict[Answer, None] = {}  # ended, with bodies that have not
        self._start_ns = self._end_ns = self._drained_ns = 0
        self._drain_s = 0.0
        self.stopped = False

    @property
    def out_of_budget(self) -> bool:
        """Whether asking ended because the budget did."""
        return self._budget.exhausted

    @property
    def in_flight(self) -> int:
        """Turns under way."""
        return len(self._open)

    @property
    def asking_ends_ns(self) -> int:
        """No turn is offered from then on; 0 before the beginning."""
        return self._end_ns

    def begin(self, start_ns: int, end_ns: int, drain_s: float) -> None:
        """Start. Turns are offered from `start_ns` to `end_ns`; those under way then have `drain_s` to end."""
        if self.stopped:  # before it began
            end_ns, drain_s = now_ns(), 0.0
        self._start_ns, self._end_ns = start_ns, end_ns
        self._drain_s = drain_s
        self._drained_ns = end_ns + int(drain_s * _NS)
        if self._users_waiting is None:
            self.arm()

    def add(self, states: list[tuple[int, SessionState]]) -> None:
        """More first turns, in the order of their due times."""
        if self.stopped:
            return
        self.arrivals.extend(states)
        if self._users_waiting is not None:
            self._next_sessions()
        elif self._end_ns:
            self.arm()

    def _next_sessions(self) -> None:
        """Closed loop: give every waiting user a session, due now; before the start the timer is set for it."""
        if self._filling:  # a session that ended as it began: the loop below goes on with it
            return
        if now_ns() < self._start_ns:
            return self.arm()
        self._filling = True
        try:
            while self._users_waiting and self.arrivals:
                self._users_waiting -= 1
                self._start(self.arrivals.popleft()[1], now_ns())
        finally:
            self._filling = False

    def stop(self, drain_s: float) -> None:
        """Ask for nothing more; what is under way has `drain_s` to end."""
        now = now_ns()
        self._end_ns = min(self._end_ns, now)
        self._drained_ns = min(self._drained_ns, now + int(drain_s * _NS))
        self.arrivals.clear()
        self._later.clear()
        self._unpaid.clear()
        self.stopped = True

    def arm(self) -> None:
        """Set the timer for what is due next."""
        due = self._later[0][0] if self._later else 0
        if self.arrivals and self._users_waiting != 0:
            first = self.arrivals[0][0] if self._users_waiting is None else self._start_ns
            due = min(due or first, first)
        if due:
            self._timer.at(due)

    def wake(self) -> None:
        """Start every turn that is due (called by the timer)."""
        try:
            now = now_ns()
            arrivals, later = self.arrivals, self._later
            while arrivals and self._users_waiting is None and arrivals[0][0] <= now:
                due, state = arrivals.popleft()
                self._start(state, due)
            while later and later[0][0] <= now:
                due, _, state = heapq.heappop(later)
                self._start(state, due)
            if self._users_waiting:
                self._next_sessions()
        except BaseException as error:  # the schedule must go on
            self._recorder.fault(error)
        self.arm()

    def _start(self, state: SessionState, due_ns: int) -> None:
        if due_ns >= self._end_ns:
            return
        if state.others:
            self._push(state.beside(due_ns))
        if self._unpaid or not self._budget.reserve():
            self._unpaid.append((due_ns, state))
            return self._check_budget()
        return self._start_paid(state, due_ns)

    def _check_budget(self) -> None:
        if self._budget.exhausted:
            self.stop(self._drain_s)

    def pay(self) -> None:
        """Start the turns that wait for the budget, as far as it goes (called when there may be more of it)."""
        if self._paying:  # a turn that ended as it began: the loop below goes on
            return
        self._paying = True
        try:
            while self._unpaid and self._budget.reserve():
                due_ns, state = self._unpaid.popleft()
                self._start_paid(state, due_ns)
            self._check_budget()
        finally:
            self._paying = False

    def _start_paid(self, state: SessionState, due_ns: int) -> None:
        self._recorder.counters["asked"] += 1
        if len(self._open) >= self._in_flight_max:
            return self._never_sent(state, due_ns, "dropped", "in_flight_cap")
        if state.refused is not None:
            return self._never_sent(state, due_ns, "http_error", state.refused)
        try:
            request, answer = state.target.turn(state)
            connection = state.connection
            if connection is None or not connection.open or connection.answer is not None:
                connection = state.connection = self._pools[id(state.target)].take()
        except OSError as error:
            self._recorder.fault(error)
            self._recorder.counters["unsent"] += 1
            return self._never_sent(state, due_ns, "dropped", "open_files")
        except Exception as error:
            self._recorder.fault(error)
            return self._never_sent(state, due_ns, "stream_error", "request_exception")
        return self._send(state, due_ns, request, answer, connection)

    def _send(self, state: SessionState, due_ns: int, request: bytes, answer: Answer, connection: Connection) -> None:
        answer.intended_ns = due_ns
        answer.state = state
        answer.connection = connection
        answer.on_end = self._ended
        answer.on_said = self._end_said
        self._open[answer] = None
        self._recorder.counters["sent"] += 1
        try:
            connection.request(request, answer)
        except Exception as error:
            self._recorder.fault(error)
            self._give_up(answer, "stream_error", "request_exception")
        lag = answer.start_ns - due_ns
        if lag > self.dispatch_lag_ns_max:
            self.dispatch_lag_ns_max = lag
        # A log of requests knows no impatient customers: where lengths are replayed, every answer is waited for.
        patience_s = state.turn.patience_s if state.lengths is None else None
        if patience_s is not None and not answer.end_ns:
            self._sequence += 1
            heapq.heappush(self._patience, (due_ns + int(patience_s * _NS), self._sequence, answer))

    def _never_sent(self, state: SessionState, due_ns: int, status: str, code: str) -> None:
        answer = Answer(self._recorder.gaps_ns)
        answer.intended_ns = due_ns
        answer.state = state
        answer.fail(now_ns(), status, code)
        self._ended(answer)

    def _end_said(self, answer: Answer) -> None:
        """An answer said its end, and its body goes on: the turn is over, unless more of it (usage, say) may follow."""
        if answer.over:
            self._turn_over(answer)
            self._bodies[answer] = None
            answer.on_end = self._body_ended
        else:
            answer.on_said = self._said_again
            self._said.append((answer.said_ns + _END_GRACE_NS, answer))

    def _said_again(self, answer: Answer) -> None:
        """More came of an answer that is waited for already."""
        if answer.over:
            self._end_said(answer)

    def _body_ended(self, answer: Answer) -> None:
        """Its connection is free for another turn, whoever's that is."""
        self._bodies.pop(answer, None)
        self._count_late(answer)
        state = answer.state
        if state.connection is not answer.connection:  # the session has not kept it
            self._pools[id(state.target)].give(answer.connection)

    def _count_late(self, answer: Answer) -> None:
        if answer.late_chunks:
            self._recorder.counters["went_on"] += 1

    def _leave_bodies(self, now: int) -> None:
        """Wait no longer for the bodies of answers that said their end `END_GRACE_S` ago."""
        while self._said and self._said[0][0] <= now:
            _, answer = self._said.popleft()
            due_ns = answer.said_ns + _END_GRACE_NS
            if answer.end_ns:
                continue
            if answer.last_ns > answer.said_ns:  # it was not the end
                answer.on_said = self._end_said
            elif due_ns > now:
                self._said.append((due_ns, answer))
            else:
                self._leave_body(answer)
        while self._bodies and (oldest := next(iter(self._bodies))).said_ns + _END_GRACE_NS <= now:
            self._leave_body(oldest)

    def _leave_body(self, answer: Answer) -> None:
        self._recorder.counters["left_open"] += 1
        answer.connection.end_here()
        self._bodies.pop(answer, None)  # whatever became of its connection

    def _ended(self, answer: Answer) -> None:
        """An answer ended, and its body with it."""
        self._count_late(answer)
        self._turn_over(answer)

    def _turn_over(self, answer: Answer) -> None:
        """A turn ended: record it once, and plan the next. What goes wrong in here voids the run, and loses no turn."""
        self._open.pop(answer, None)
        state = answer.state
        screen(answer)
        try:
            self._recorder.turn(state, answer)
        except Exception as error:
            self._recorder.fault(error)
        try:
            unsent = answer.connection is None
            self._budget.settle(0.0 if unsent else believable_usd(answer.cost_usd, answer.output_tokens))
        except OverBoundError as error:
            self._recorder.fault(error)
        if self._unpaid:
            self.pay()
        try:
            if answer.connection is not None:
                state.connection = answer.connection
            if answer.status == "ok":
                state.target.learn(state, answer)
            following = state.follow(answer.status, answer.end_ns)
            if answer.said_ns and not answer.over:  # more of it was waited for: nothing is due before now
                now = now_ns()
                following = [(max(due, now), other) for due, other in following]
            later = self._push(following)
            if state not in later and state.connection is not None:
                self._pools[id(state.target)].give(state.connection)
                state.connection = None
            if self._users_waiting is not None and not following:  # who thinks beyond the end starts nothing else
                self._users_waiting += 1
                self._next_sessions()
        except Exception as error:
            self._recorder.fault(error)

    def _push(self, states: list[tuple[int, SessionState]]) -> list[SessionState]:
        """Start these when they are due; those due before the end, which alone are."""
        kept = [(due, state) for due, state in states if due < self._end_ns]
        for due, state in kept:
            self._sequence += 1
            heapq.heappush(self._later, (due, self._sequence, state))
            self._timer.at(due)
        return [state for _, state in kept]

    def tick(self) -> None:
        """Every 10 ms: give up what waited too long, and see whether all has ended."""
        now = now_ns()
        patience = self._patience
        while patience and patience[0][0] <= now:
            _, _, answer = heapq.heappop(patience)
            if not answer.end_ns and not answer.first_ns:
                self._give_up(answer, "abandoned", "patience_over")
        while self._open:
            oldest = next(iter(self._open))  # turns are kept in the order of their sending
            if now - oldest.start_ns < self._timeout_ns:
                break
            self._give_up(oldest, "timeout", "timeout")
        self._leave_bodies(now)
        if self._end_ns and now >= self._end_ns:
            self.wake()  # a machine too busy for its timer: what is due is asked, late, before the run may be over
            if not (self._open or self._bodies) or now >= self._drained_ns:
                self._finish()

    def _give_up(self, answer: Answer, status: str, code: str) -> None:
        """End a turn now, whatever has become of its connection: it is never open afterwards."""
        give_up(answer, status, code, self._recorder)
        if answer in self._open:  # its connection did not know it any more
            self._ended(answer)

    def _finish(self) -> None:
        if self._unpaid:
            self._recorder.counters["unsent"] += len(self._unpaid)
            self._unpaid.clear()  # first: what a censored turn gives back, or a late grant, begins no turn any more
        for answer in list(self._open):
            self._give_up(answer, "censored", "run_ended")
        for answer in list(self._bodies):
            answer.connection.end_here()
        done, self._on_done = self._on_done, None
        if done is not None:
            done()
