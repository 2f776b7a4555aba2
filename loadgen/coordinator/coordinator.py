"""Coordinator: what the master of a run does. It brings the workers to a common t0, adds up what they report, and ends.

It talks to the supervising process through two things only: lines on an inherited pipe (`drain`, `stop`; its end means
that the supervisor is gone), and `live.json`, `histograms.json` in the record's folder.
"""

from __future__ import annotations

import http.client
import os
import time
from collections.abc import Callable
from urllib.parse import urlsplit

import gevent
from gevent import os as gevent_os
from gevent.pywsgi import WSGIServer

from host.control_token import control_headers
from host.errors import Exit
from host.ports import is_loopback, is_loopback_url
from loadgen.analysis.verdict import Evidence, verdict
from loadgen.coordinator.budget import BudgetAllocator, Instruction
from loadgen.coordinator.exporter import RunLabels, exposition, page_app
from loadgen.coordinator.page import add_page
from loadgen.coordinator.snapshots import Snapshots
from loadgen.job import LoadJob
from loadgen.live import Clock, Live, Ready, Snapshot
from loadgen.load_engine import MasterRunner, Message
from loadgen.run_info import write_json
from loadgen.worker.abort_rules import AbortRules
from loadgen.worker.sample_buffer import Receiver
from slo.histogram import Histogram
from slo.quantiles import Quantile

GO_DELAY_S = 0.5
FINAL_WITHIN_S = 10.0


class Coordinator:
    """The master's side of a run.

    Args:
        runner: Locust's MasterRunner.
        strangers: how many messages so far came from nobody of this run.
    """

    def __init__(
        self, job: LoadJob, runner: MasterRunner, control_fd: int | None, strangers: Callable[[], int] = lambda: 0
    ) -> None:
        self._job = job
        self._strangers = strangers
        self._runner = runner
        self._control_fd = control_fd
        self._snapshots = Snapshots()
        self._receiver = Receiver(job.folder)
        self._ready: dict[str, Ready] = {}
        self._numbers: dict[str, int] = {}  # of workers from elsewhere
        self._unnumbered: list[str] = []
        self._finals: set[str] = set()
        self._lost: dict[str, str] = {}
        self._failed: dict[str, str] = {}
        self._state = "waiting"
        self._started_s = 0.0
        self._t0_unix_s: float | None = None
        self._notes: list[str] = []
        self._aborted: str | None = None
        self._ended_early_s: float | None = None
        self._refused: str | None = None
        self._refused_code = int(Exit.USAGE)
        apply = job.abort_rules
        if apply is None:
            apply = not all(is_loopback_url(target.url) for target in job.targets)
        self._rules = AbortRules(job.scenario["abort_if"]) if apply else None
        self._allocator = BudgetAllocator(job.budget_usd or 0.0, job.turn_usd_max, job.workers)

    def listen(self) -> None:
        """Take the workers' messages, and the supervisor's lines."""
        self._runner.register_message("peakday_hello", self._on_hello)
        self._runner.register_message("peakday_ping", self._on_ping)
        self._runner.register_message("peakday_ready", self._on_ready)
        self._runner.register_message("peakday_final", self._on_final)
        self._runner.register_message("peakday_failed", self._on_failed)
        self._runner.register_message("peakday_request", self._on_request)
        self._runner.register_message("peakday_returned", self._on_returned)
        self._runner.environment.events.worker_report.add_listener(self._on_report)
        if self._runner.environment.web_ui is not None:
            add_page(self._runner.environment.web_ui.app, self._live, self._job.length_s, self._job.page)
        gevent.spawn(self._read_control)
        if self._job.metrics_port is not None:
            app = page_app(self._metrics, loopback=is_loopback(self._job.metrics_host))
            WSGIServer((self._job.metrics_host, self._job.metrics_port), app, log=None).start()
        gevent.spawn(self._watch)

    # --- to a common start ----------------------------------------------------------------------------------------

    def _on_hello(self, environment: object, msg: Message, **_: object) -> None:
        """A worker from elsewhere has neither number nor files: both travel to it, if it is of our version."""
        theirs, ours = (msg.data or {}).get("version", "an older one"), self._job.peakday_version
        if theirs != ours:
            if self._state == "waiting":
                versions = ", ".join(sorted((theirs, ours)))
                self._refused = f"workers run different versions of peakday: {versions}; install one"
                self._write_live()
            return
        if msg.node_id not in (*self._numbers, *self._unnumbered):
            self._unnumbered.append(msg.node_id)
        self._hand_out()

    def _hand_out(self) -> None:
        """Before the start: free the numbers of workers that left, and give each number to one that has none.

        Those of this machine's own workers come first. A worker too many waits for a number until the run ends.
        """
        if self._state != "waiting":
            return
        for node_id in [one for one in (*self._ready, *self._numbers) if self._is_gone(one)]:
            self._ready.pop(node_id, None)
            self._numbers.pop(node_id, None)
            self._allocator.remove(node_id)
        self._unnumbered = [one for one in self._unnumbered if not self._is_gone(one)]
        free = sorted(set(range(self._job.processes, self._job.workers)) - set(self._numbers.values()))
        for number, node_id in zip(free, list(self._unnumbered), strict=False):
            self._unnumbered.remove(node_id)
            self._numbers[node_id] = number
            self._runner.send_message("peakday_job", {"worker": number, **self._job.bundle()}, client_id=node_id)

    def _is_gone(self, node_id: str) -> bool:
        client = self._runner.clients.get(node_id)
        return client is None or client.state == "missing"

    def _on_ping(self, environment: object, msg: Message, **_: object) -> None:
        self._runner.send_message("peakday_pong", {"master_ns": time.monotonic_ns()}, client_id=msg.node_id)

    def _on_ready(self, environment: object, msg: Message, **_: object) -> None:
        number = msg.data.get("worker")
        if type(number) is not int or not self._may_be(number, msg.node_id):
            return  # away for so long that its number is another's
        self._ready[msg.node_id] = msg.data
        self._allocator.join(msg.node_id)
        if self._all_ready() and self._state == "waiting":
            self._state = "running"
            self._started_s = time.monotonic() + GO_DELAY_S
            self._t0_unix_s = time.time() + GO_DELAY_S
            for node_id in self._ready:
                self._runner.send_message("peakday_go", {"delay_s": GO_DELAY_S}, client_id=node_id)
            if self._job.emulator_url is not None:
                gevent.spawn_later(GO_DELAY_S, self._start_faults)
        self._write_live()

    def _may_be(self, number: int, node_id: str) -> bool:
        """Whether a worker has this number: by the table where it came from elsewhere, else if nobody else has it."""
        if number >= self._job.processes or node_id in self._numbers:
            return self._numbers.get(node_id) == number
        others = (one for one, data in self._ready.items() if data["worker"] == number and one != node_id)
        return number >= 0 and all(self._is_gone(one) for one in others)

    def _all_ready(self) -> bool:
        """Whether every arrival has its worker: the numbers are 0 to W - 1, each once."""
        return sorted(data["worker"] for data in self._ready.values()) == list(range(self._job.workers))

    def _start_faults(self) -> None:
        """Tell the emulator that t0 is now: their faults count from it."""
        assert self._job.emulator_url is not None
        parts = urlsplit(self._job.emulator_url)
        headers = {"Content-Type": "application/json", **control_headers(self._job.emulator_url)}
        try:
            connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=5)
            connection.request("POST", "/control/t0", body=b"{}", headers=headers)
            status = connection.getresponse().status
            connection.close()
        except OSError as error:
            self._notes.append(f"emulator: t0 not set ({error}); faults do not strike")
        else:
            if status != 200:
                self._notes.append(f"emulator: t0 not set (status {status}); faults do not strike")

    # --- while it runs --------------------------------------------------------------------------------------------

    def _on_report(self, client_id: str, data: dict[str, Snapshot]) -> None:
        snapshot = data.get("peakday")
        if snapshot and self._state != "waiting":
            self._accept(client_id, snapshot)

    def _accept(self, node_id: str, snapshot: Snapshot) -> None:
        """Take what a worker of the table reports, as that worker and no other."""
        ready = self._ready.get(node_id)
        if ready is None or snapshot.get("worker") != ready["worker"] or type(snapshot.get("seq")) is not int:
            return
        batches = snapshot.pop("rows", None)
        if batches:
            through = self._receiver.take(snapshot["worker"], batches)
            self._runner.send_message("peakday_kept", {"through": through}, client_id=node_id)
        if self._snapshots.accept(snapshot):
            self._write_live()

    def _on_final(self, environment: object, msg: Message, **_: object) -> None:
        if msg.node_id in self._ready:
            self._finals.add(msg.node_id)
            self._accept(msg.node_id, msg.data)

    def _on_failed(self, environment: object, msg: Message, **_: object) -> None:
        """A worker cannot go on: before t0 that refuses the run, after it that voids it."""
        reason = f"load worker {msg.data['worker']}: {msg.data['reason']}"
        if self._state == "waiting":
            self._refused, self._refused_code = reason, int(msg.data["code"])
        self._failed[msg.node_id] = reason
        self._lost.setdefault(msg.node_id, f"worker {msg.data['worker']} failed")
        self._write_live()

    def _on_request(self, environment: object, msg: Message, **_: object) -> None:
        self._instruct(self._allocator.request(msg.node_id, msg.data["returned_usd"], urgent=msg.data["urgent"]))

    def _on_returned(self, environment: object, msg: Message, **_: object) -> None:
        self._instruct(self._allocator.take_back(msg.node_id, msg.data["usd"]))

    def _instruct(self, instructions: list[Instruction]) -> None:
        """Pass the allocator's instructions on to the workers."""
        for each in instructions:
            if each.usd is None:
                self._runner.send_message("peakday_recall", {}, client_id=each.worker)
            else:
                grant = {"usd": each.usd, "urgent": each.urgent}
                self._runner.send_message("peakday_grant", grant, client_id=each.worker)

    def _watch(self) -> None:
        """Every half second: who is lost, and is everybody done?"""
        job = self._job
        latest_s = job.length_s + job.drain_s + FINAL_WITHIN_S
        while self._state != "finished":
            gevent.sleep(0.5)
            self._hand_out()
            for node_id in self._ready:
                if node_id not in self._finals and self._is_gone(node_id):
                    self._lost.setdefault(node_id, f"worker {self._ready[node_id]['worker']} was lost")
            for node_id in self._lost:
                self._instruct(self._allocator.remove(node_id))
            if self._state != "running":
                continue
            self._apply_rules()
            self._end_early()
            overdue = time.monotonic() - self._started_s > latest_s
            if overdue:
                for node_id in set(self._ready) - self._finals:
                    self._lost.setdefault(node_id, f"worker {self._ready[node_id]['worker']} sent no final message")
            if set(self._ready) <= self._finals | set(self._lost):
                self._finish()

    def _apply_rules(self) -> None:
        """Stop asking when a rule of the scenario says so, or when no worker can pay for a turn any more."""
        if self._aborted is not None:
            return
        if any(one.get("out_of_budget") for one in self._snapshots.latest.values()):
            spent_usd = self._snapshots.counters().get("cost_usd", 0)
            self._aborted = (
                f"budget: the upper bound of a turn, {self._job.turn_usd_max:.2g} USD, no longer fits into "
                f"{self._job.budget_usd:g} USD beside {spent_usd:.2g} USD spent and the bounds of turns under way"
            )
        elif self._rules is not None:
            ttft = self._snapshots.histograms().get("ttft_s", Histogram())
            self._aborted = self._rules.reason(time.monotonic(), self._snapshots.counters(), ttft)
        if self._aborted is not None:
            self._runner.send_message("peakday_stop", {"now": False})

    def _end_early(self) -> None:
        """A run that lost a worker can only be INVALID: no more turns begin, and those in flight may end."""
        if not self._lost or self._ended_early_s is not None:
            return
        if time.monotonic() - self._started_s > self._job.length_s:
            return
        at_s = self._ended_early_s = max(0.0, time.monotonic() - self._started_s)
        self._notes.append(f"ended early, {at_s:.0f} s after its start: {'; '.join(sorted(self._lost.values()))}")
        self._runner.send_message("peakday_stop", {"now": False})
        self._write_live()

    def _verdict(self) -> tuple[bool, str]:
        """What the master knows of the run's verdict, with the first reason; the record's own is given on every row."""
        live, merged = self._live(), self._snapshots.histograms()
        quantiles = {
            metric: {
                name: histogram_quantile(merged.get(metric), share) for name, share in (("p50", 0.5), ("p99", 0.99))
            }
            for metric in ("start_lag_s", "ttft_s")
        }
        known = Evidence(
            start_lag=quantiles["start_lag_s"], ttft=quantiles["ttft_s"], killed={}, lost=tuple(live["lost"]),
            faults=tuple(live["faults"]), counters=live["counters"], rows=int(live["counters"].get("asked", 0)),
            emulator=None, finished=True,
        )  # fmt: skip
        given = verdict(known)
        return given.valid, next(iter(given.reasons), "")

    def _metrics(self) -> bytes:
        """The exporter's page."""
        job = self._job
        run = RunLabels(
            run_id=job.run_id,
            scenario=job.scenario["name"],
            simulated=any(_supplies(self._snapshots).values()),
            workers=job.workers,
            ends_after_s=job.length_s,
            budget_usd=job.budget_usd,
        )
        return exposition(self._live(), self._snapshots.histograms(), run)

    def _finish(self) -> None:
        self._state = "finished"
        self._write_live()
        valid, reason = self._verdict()
        for node_id in list(self._runner.clients):
            self._runner.send_message("peakday_verdict", {"valid": valid, "reason": reason}, client_id=node_id)
        self._runner.quit()
        if self._runner.environment.web_ui is not None:
            self._runner.environment.web_ui.stop()

    def _read_control(self) -> None:
        if self._control_fd is None:
            return
        while True:
            line = gevent_os.tp_read(self._control_fd, 64)
            if not line:
                os._exit(1)  # the supervisor is gone, and with it whoever wanted this run
            for word in line.decode().split():
                self._runner.send_message("peakday_stop", {"now": word == "stop"})

    def _write_live(self) -> None:
        histograms = self._snapshots.histograms()
        write_json(self._job.folder / "live.json", self._live())
        merged = {metric: histogram.to_json() for metric, histogram in histograms.items()}
        sequences = {str(worker): one["seq"] for worker, one in self._snapshots.latest.items()}
        write_json(self._job.folder / "histograms.json", {"sequences": sequences, "metrics": merged})

    def _asked_s(self) -> float:
        """How long turns were offered; of a worker that was lost the last word is what it planned."""
        latest, lost = self._snapshots.latest, self._lost_workers()
        asked_s = max((one.get("asked_s", 0.0) for worker, one in latest.items() if worker not in lost), default=0.0)
        return asked_s or self._ended_early_s or 0.0

    def _lost_workers(self) -> list[int]:
        return sorted(self._ready[node_id]["worker"] for node_id in self._lost if node_id in self._ready)

    def _about_strangers(self) -> list[str]:
        count = self._strangers()
        return [f"{count} message(s) without this run's secret on the master's port, dropped unread"] if count else []

    def _live(self) -> Live:
        """How the run stands."""
        snapshots = self._snapshots
        return {
            "state": self._state,
            "master_pid": os.getpid(),
            "t0_unix_s": self._t0_unix_s,
            "elapsed_s": time.monotonic() - self._started_s if self._started_s else None,
            "asked_s": self._asked_s(),
            "counters": snapshots.counters(),
            "in_flight": sum(int(one.get("in_flight", 0)) for one in snapshots.latest.values()),
            "quantiles": {
                metric: {
                    "p50": histogram.quantile(0.5) or 0.0,
                    "p99": histogram.quantile(0.99) or 0.0,
                    "n": histogram.n,
                }
                for metric, histogram in snapshots.histograms().items()
                if histogram.n
            },
            "workers": {str(data["worker"]): _clock(data) for data in self._ready.values()},
            "finals": len(self._finals),
            "lost": sorted(self._lost.values()),
            "lost_workers": self._lost_workers(),
            "faults": [
                *self._failed.values(),
                *(text for one in snapshots.latest.values() for text in one.get("faults", [])),
            ],
            "errors": _sum_errors(snapshots),
            "error_samples": {
                code: text for each in snapshots.latest.values() for code, text in each.get("error_samples", {}).items()
            },
            "supplies": _supplies(snapshots),
            "health": {str(worker): one["health"] for worker, one in snapshots.latest.items() if "health" in one},
            "notes": self._notes + self._about_strangers(),
            "aborted": self._aborted,
            "refused": self._refused,
            "refused_code": self._refused_code,
        }


def histogram_quantile(histogram: Histogram | None, share: float) -> Quantile:
    """A quantile of a merged histogram, a bin's upper edge, as a verdict takes it."""
    n = histogram.n if histogram else 0
    value = histogram.quantile(share) if histogram and n else None
    return Quantile(value, None, None, n, round(n * (1 - share)))


def _clock(ready: Ready) -> Clock:
    return {
        "pid": ready.get("pid"),
        "host": ready.get("host"),
        "clock_offset_s": ready.get("clock_offset_s"),
        "clock_half_width_s": ready.get("clock_half_width_s"),
        "scheduling": ready.get("scheduling"),
    }


def _sum_errors(snapshots: Snapshots) -> dict[str, int]:
    total: dict[str, int] = {}
    for one in snapshots.latest.values():
        for code, count in one.get("errors", {}).items():
            total[code] = total.get(code, 0) + count
    return total


def _supplies(snapshots: Snapshots) -> dict[str, bool]:
    """Supply -> whether an emulator ever answered for it."""
    supplies: dict[str, bool] = {}
    for snapshot in snapshots.latest.values():
        for supply, simulated in snapshot.get("supplies", {}).items():
            supplies[supply] = supplies.get(supply, False) or simulated
    return supplies
