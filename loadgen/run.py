"""Run a load job: start Locust's master and workers as child processes, watch over them, and finish the record.

This process never imports Locust or gevent. It owns signals, chunks, verdict and exit code: Locust would exit with 0
for a run whose worker was killed.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
import re
import secrets
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from host import processes
from host.errors import Exit
from host.ports import free_port
from host.redaction import shown_url
from loadgen import control
from loadgen.analysis.finish import SystemEnd, finish_record
from loadgen.chunks import ChunkWriter
from loadgen.coordinator.scrape import Scraper, meter_of, scrape_urls
from loadgen.coordinator.status_line import line
from loadgen.job import LoadError, LoadJob
from loadgen.live import Live, Report, read_live
from loadgen.remote_workers import LOCUST, POLL_S, STOP_WITHIN_S, noted_signals, raise_open_file_limit
from loadgen.run_info import RUNNING, RunInfo, ScenarioRef, TargetRef, write_info
from loadgen.seal import VARIABLE, shared_secret

LINE_EVERY_S = 10.0
START_WITHIN_S = 60.0
REMOTE_START_WITHIN_S = 600.0
OVERDUE_AFTER_S = 80.0
"""How long after the drain a master may take to finish before it counts as stuck."""
_TIMED_ID = re.compile(r"\d{8}-\d{6}-")
Progress = Callable[[Report], None]


@dataclass(frozen=True)
class Outcome:
    """How a run ended: its exit code (0, 3 invalid, 6 aborted, 130 interrupted), its folder and its `run.json`."""

    exit_code: int
    run_dir: Path
    info: RunInfo


@dataclass
class _Children:
    """The processes of a run, and the pipe that tells the master what to do."""

    master: processes.Child
    workers: list[processes.Child]
    control_fd: int
    killed: dict[int, processes.End] = field(default_factory=dict)  # by worker, of those that ended too early
    system_end: SystemEnd | None = None


SystemEnded = Callable[[], processes.End | None]
"""How and when a process of the system under test ended that is ours too; None while all of them run."""


def run_load(job: LoadJob, progress: Progress | None = None, system_ended: SystemEnded | None = None) -> Outcome:
    """Make the run and write its record.

    Args:
        system_ended: asked now and then where the target is ours: when one of its processes has ended, so does the
            run, which is then invalid and says why.
        progress: called with the state of the run about ten times a second; every `LINE_EVERY_S` it holds a `line`, and
            after an interrupt a `notice`.

    Raises:
        LoadError: the job cannot be planned, its record not written, or its workers do not start; no record is left.
        KeyboardInterrupt: interrupted before the first turn was due; nothing is left.
    """
    raise_open_file_limit()
    check_plan(job)
    secret = shared_secret() if job.remote_workers else secrets.token_hex(32)
    started = datetime.now(UTC)
    with noted_signals() as interrupts:
        job = begin_record(job, started)
        chunks = ChunkWriter(job.folder)
        scraper = Scraper(scrape_urls(job), job.folder, job.admitted, meter_of(job))
        scraper.start()
        try:
            with _children(job, secret) as children:
                _watch(
                    job,
                    children,
                    chunks,
                    interrupts,
                    scraper,
                    progress or (lambda _: None),
                    system_ended or (lambda: None),
                )
        except (LoadError, KeyboardInterrupt) as error:
            scraper.abandon()
            forget_record(job, keep_logs=isinstance(error, LoadError))
            raise
    (job.folder / control.FILE).unlink(missing_ok=True)
    info = finish_record(
        job,
        started,
        chunks,
        children.killed,
        interrupted=bool(interrupts),
        scraper=scraper,
        system_end=children.system_end,
    )
    if interrupts:
        return Outcome(Exit.INTERRUPTED, job.folder, info)
    if info.aborted:
        return Outcome(Exit.ABORTED, job.folder, info)
    return Outcome(0 if info.valid else Exit.INVALID_RUN, job.folder, info)


def begin_record(job: LoadJob, started: datetime) -> LoadJob:
    """Make the folder, with a run.json that says the run is not finished; the job, with the folder that is its own.

    Raises:
        LoadError: the folder holds a run already, or cannot be written.
    """
    try:
        job = _with_own_folder(job)
        job.write(job.folder / "job.json")
        write_info(job.folder, head(job, started))
    except OSError as error:
        raise LoadError(f"{job.run_dir}: cannot write the record ({error.strerror}); choose another --out") from None
    return job


def _with_own_folder(job: LoadJob) -> LoadJob:
    """Two runs may begin in one second: an ID that was made of the time then gets -2; a name that was asked for not."""
    asked = job
    for number in itertools.count(2):
        job.folder.mkdir(parents=True, exist_ok=True)
        if not (job.folder / "run.json").exists():
            with contextlib.suppress(FileExistsError):
                (job.folder / "job.json").open("x").close()
                return job
        if not _TIMED_ID.match(asked.run_id):
            raise LoadError(f"{asked.run_dir}: already holds a run; choose another folder with --out")
        folder = asked.folder.with_name(f"{asked.run_id}-{number}")
        job = replace(asked, run_dir=str(folder), run_id=folder.name)
    raise AssertionError("never")


def check_plan(job: LoadJob) -> None:
    """Refuse here, in one line, a plan that every worker would choke on; nothing has been started or written yet."""
    length_s = float(job.scenario["event"]["length_s"])
    start_s, end_s = job.window
    if job.follows_event and job.rate_per_s is None and not 0 <= start_s < end_s <= length_s + 1e-6:
        raise LoadError(f"window {start_s:g}s:{end_s:g}s is outside the event; choose one inside 0s:{length_s:g}s")
    if job.scale <= 0:
        raise LoadError(f"scale is {job.scale:g}, expected a number above 0, such as 0.01")
    for file in filter(None, (job.messages, job.arrivals_file)):
        if not os.access(file, os.R_OK):
            raise LoadError(f"{file}: cannot be read; the run needs it")


def forget_record(job: LoadJob, *, keep_logs: bool) -> None:
    """Remove the record of a run that never began: a folder with a run.json looks like one that did."""
    for name in ("run.json", "job.json", "live.json", "histograms.json", control.FILE):
        (job.folder / name).unlink(missing_ok=True)
    for part in (".samples", *(() if keep_logs else ("logs",))):
        shutil.rmtree(job.folder / part, ignore_errors=True)
    with contextlib.suppress(OSError):  # not empty: its logs, or what is not ours
        job.folder.rmdir()


def head(job: LoadJob, started: datetime) -> RunInfo:
    """What of run.json is known before the first turn."""
    arrivals = Path(job.arrivals_file).read_bytes() if job.arrivals_file else None
    return RunInfo(
        run_id=job.run_id,
        state=RUNNING,
        peakday_version=job.peakday_version,
        started_utc=started.isoformat(),
        scenario=ScenarioRef(job.scenario["name"], job.scenario_hash, job.scenario),
        seed=job.seed,
        targets=tuple(
            TargetRef(target.kind, shown_url(target.url), target.region, target.model) for target in job.targets
        ),
        window=job.window if job.for_s is None else (0.0, job.length_s),
        scale=job.scale,
        rate=job.rate_per_s,
        arrivals_file=job.arrivals_file,
        arrivals_sha256=None if arrivals is None else hashlib.sha256(arrivals).hexdigest(),
        open_loop=job.closed_loop_users is None,
        processes=job.processes,
        command=job.command,
        commit=job.commit,
        host=job.host,
    )


# --- children ---------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _children(job: LoadJob, secret: str) -> Iterator[_Children]:
    """Master and workers, ended whatever happens."""
    port = job.bind_port or free_port()
    control_read, control_write = os.pipe()
    quiet = ("--only-summary", "--loglevel", "WARNING")
    if job.web_port is None:
        page: tuple[str, ...] = ("--headless",)
    else:
        page = ("--autostart", "--web-host", "127.0.0.1", "--web-port", str(job.web_port))
    users = ("-u", str(job.workers), "-r", str(job.workers), "--expect-workers", str(job.workers))
    children: list[processes.Child] = []
    try:
        master = _start(
            job,
            "master",
            secret,
            ("--master", "--master-bind-host", job.bind_host, "--master-bind-port", str(port), *users, *page, *quiet),
            control_read,
        )
        children.append(master)
        for number in range(job.processes):
            arguments = ("--worker", "--master-host", "127.0.0.1", "--master-port", str(port), *quiet)
            children.append(_start(job, f"worker-{number}", secret, arguments, worker=number))
        yield _Children(master, children[1:], control_write)
    finally:
        for descriptor in (control_read, control_write):
            os.close(descriptor)  # a child whose pipe ends exits by itself
        processes.stop(children, STOP_WITHIN_S)


def _start(
    job: LoadJob,
    name: str,
    secret: str,
    arguments: tuple[str, ...],
    control_fd: int | None = None,
    worker: int | None = None,
) -> processes.Child:
    """One Locust process; what it prints is in `logs/`. The secret is in its environment, where `ps` shows none."""
    logs = job.folder / "logs"
    logs.mkdir(exist_ok=True)
    environment = {key: value for key, value in os.environ.items() if not key.startswith("LOCUST_")}
    environment["PEAKDAY_JOB"] = str(job.folder / "job.json")
    environment[VARIABLE] = secret
    if control_fd is not None:
        environment["PEAKDAY_CONTROL_FD"] = str(control_fd)
    if worker is not None:
        environment["PEAKDAY_WORKER"] = str(worker)
    return processes.start(
        name.replace("-", " "),
        [*LOCUST, *arguments],
        log=logs / f"{name}.log",
        folder=job.folder,
        environment=environment,
        descriptors=() if control_fd is None else (control_fd,),
        watched=True,
    )


# --- watching ---------------------------------------------------------------------------------------------------------


def _watch(
    job: LoadJob,
    children: _Children,
    chunks: ChunkWriter,
    interrupts: list[float],
    scraper: Scraper,
    progress: Progress,
    system_ended: SystemEnded,
) -> None:
    """Until the master ends: write chunks, pass interrupts on, report how it goes."""
    start_s = pumped_s = line_s = time.monotonic()
    passed_on = lost = 0
    running_s: float | None = None
    while children.master.poll() is None:
        time.sleep(POLL_S)
        now_s = time.monotonic()
        pumped_s = chunks.pump(now_s, pumped_s)
        live = read_live(job.folder)
        for number, worker in enumerate(children.workers):
            if (end := worker.poll()) and (live is None or live["state"] != "finished"):
                children.killed.setdefault(number, end)
        if children.system_end is None and (end := system_ended()) is not None:
            children.system_end = SystemEnd(end, (live or {}).get("elapsed_s") or 0.0)
            if live is None or live["state"] == "waiting":
                raise LoadError(f"{end}, before the start; see its log", Exit.ENVIRONMENT)
            with contextlib.suppress(BrokenPipeError):
                os.write(children.control_fd, b"stop\n")
        if running_s is None:
            _check_started(job, children, live, now_s - start_s)
        elif now_s - running_s > job.length_s + job.drain_s + OVERDUE_AFTER_S:
            children.master.send(signal.SIGKILL)
        interrupts += [now_s] * (control.interrupts_wanted(job.folder) - len(interrupts))
        if interrupts and (live is None or live["state"] == "waiting"):
            raise KeyboardInterrupt
        if len(interrupts) > passed_on:
            passed_on = len(interrupts)
            with contextlib.suppress(BrokenPipeError):
                os.write(children.control_fd, b"drain\n" if passed_on == 1 else b"stop\n")
            progress({"state": live["state"] if live else "waiting", "live": live, "notice": _stopping(job, passed_on)})
        if live is not None and live["state"] == "running" and running_s is None:
            running_s = now_s
            scraper.set_t0()
        if live is not None and len(gone := live.get("lost", ())) > lost:
            lost = len(gone)
            notice = f"{'; '.join(gone)}: the run can only be INVALID, so no more turns begin"
            progress({"state": live["state"], "live": live, "notice": notice})
        if live is not None:
            report: Report = {"state": live["state"], "live": live}
            if now_s - line_s >= LINE_EVERY_S and live["elapsed_s"]:
                line_s = now_s
                report["line"] = line(live, job.length_s)
            progress(report)


def _stopping(job: LoadJob, interrupts: int) -> str:
    """What an interrupt does, for whoever made it."""
    if interrupts > 1:
        return "stopping now: turns in flight are cut off; the record is kept"
    return (
        f"stopping: no more turns begin, those in flight have up to {job.drain_s:g} s; Ctrl-C again stops at once; "
        "the record is kept either way"
    )


def _check_started(job: LoadJob, children: _Children, live: Live | None, waited_s: float) -> None:
    """Raise when the run cannot begin: a worker said why, a child ended before t0, or time is over."""
    if live is not None and live["refused"]:
        raise LoadError(live["refused"], Exit(live["refused_code"]))
    if live is not None and live["state"] != "waiting":
        return
    if children.killed:
        number, end = next(iter(children.killed.items()))
        line = children.workers[number].last_log_line() or f"its log is empty; see {job.folder / 'logs'}"
        raise LoadError(f"load {str(end).removeprefix('the ')} before the start: {line}", Exit.ENVIRONMENT)
    limit_s = REMOTE_START_WITHIN_S if job.remote_workers else START_WITHIN_S
    if waited_s > limit_s:
        raise LoadError(f"load workers were not ready after {limit_s:g} s; see {job.folder / 'logs'}", Exit.ENVIRONMENT)
