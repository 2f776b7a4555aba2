"""Health: how well the generator itself keeps time, by a 10 ms heartbeat, and one row a second."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from loadgen.live import HealthFigures
from loadgen.transport.connection import now_ns
from loadgen.worker.driver import Driver
from loadgen.worker.recorder import Recorder

HEARTBEAT_S = 0.01
_HEARTBEAT_NS = int(HEARTBEAT_S * 1e9)
_SECOND_NS = 1_000_000_000


class Health:
    """Beats with the loop: drives the driver's deadlines, and notes its own lateness, dispatch lag and CPU share."""

    def __init__(
        self, driver: Driver, recorder: Recorder, t0_ns: int, ticks: Sequence[Callable[[], None]] = ()
    ) -> None:
        self._driver = driver
        self._recorder = recorder
        self._t0_ns = t0_ns
        self._ticks = ticks
        self.latest: HealthFigures = {"cpu_ratio": 0.0, "heartbeat_late_s": 0.0}
        self._last_ns = now_ns()
        self._late_ns_max = 0
        self._second = 0
        self._cpu_ns: int | None = None  # at the start of the second
        self._before = dict(recorder.counters)

    def beat(self) -> None:
        """One heartbeat (called by the loop every 10 ms)."""
        try:
            now = now_ns()
            if self._cpu_ns is None and now >= self._t0_ns:
                self._cpu_ns = time.process_time_ns()
            late = now - self._last_ns - _HEARTBEAT_NS
            self._last_ns = now
            if late > self._late_ns_max:
                self._late_ns_max = late
            self._driver.tick()
            for tick in self._ticks:
                tick()
            while now >= self._t0_ns + (self._second + 1) * _SECOND_NS:
                self.second_over()
        except BaseException as error:  # the heart must go on
            self._recorder.fault(error)

    def second_over(self) -> None:
        """Write the row of the second that ended, and start the next."""
        cpu_ns = time.process_time_ns()
        counters, before = self._recorder.counters, self._before
        ended = ("completed", "failed", "abandoned", "censored", "dropped")
        dispatch_late_s, heartbeat_late_s = self._driver.dispatch_lag_ns_max * 1e-9, self._late_ns_max * 1e-9
        cpu_ratio = (cpu_ns - (cpu_ns if self._cpu_ns is None else self._cpu_ns)) / _SECOND_NS
        row: list[object] = [
            self._recorder.worker,
            self._second,
            int(counters["asked"] - before["asked"]),
            int(counters["sent"] - before["sent"]),
            int(sum(counters[name] - before[name] for name in ended)),
            self._driver.in_flight,
            dispatch_late_s,
            heartbeat_late_s,
            cpu_ratio,
        ]
        self._recorder.generator(row)
        self._recorder.flush()
        self.latest = {"cpu_ratio": cpu_ratio, "heartbeat_late_s": heartbeat_late_s}
        self._second += 1
        self._cpu_ns = cpu_ns
        self._before = dict(counters)
        self._late_ns_max = self._driver.dispatch_lag_ns_max = 0
