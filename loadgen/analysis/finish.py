"""The end of a run: last chunks, then totals, quantiles and verdict into run.json."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from host.control_token import control_headers
from host.fetch import FetchError, fetch
from host.processes import End
from loadgen.analysis.autobuy import autobuy_totals
from loadgen.analysis.first_limit import limits_exceeded
from loadgen.analysis.slo_results import slo_results
from loadgen.analysis.steady_state import batch_means, littles_law, steady_state
from loadgen.analysis.totals import first_turn, latency_quantiles, totals, untold_warnings, whole_warnings, with_energy
from loadgen.analysis.verdict import Evidence, Lateness, start_lag_limit_s, verdict
from loadgen.chunks import ChunkWriter, remove_buffer, write_chunk
from loadgen.coordinator.scrape import Scraper
from loadgen.job import LoadJob
from loadgen.live import Live, read_live
from loadgen.record import Run, load_run
from loadgen.run_info import FINISHED, Crossing, FaultSpan, RunInfo, WorkerClock, write_info
from loadgen.schedule.sessions import make_schedule
from loadgen.transport.answer import END_GRACE_S
from loadgen.worker.background import skipped_streams
from slo.histogram import Histogram

EMULATOR_WITHIN_S = 5.0


@dataclass(frozen=True)
class SystemEnd:
    """A process of the system under test that was ours, and ended by itself so long after t0."""

    end: End
    at_s: float


def finish_record(
    job: LoadJob,
    started: datetime,
    chunks: ChunkWriter,
    killed: dict[int, End],
    *,
    interrupted: bool,
    scraper: Scraper | None = None,
    system_end: SystemEnd | None = None,
) -> RunInfo:
    """Write what is left of the rows, judge the run, and mark it finished."""
    chunks.pump(0.0, 0.0, everything=True)
    remove_buffer(job.folder)
    deltas = scraper.finish() if scraper else {}
    live = read_live(job.folder) or {}
    emulator = emulator_lateness(job.emulator_url)
    run = _one_generator_file(load_run(job.folder))
    info = replace(
        _with_results(run.info, job, run, live, killed, emulator, system_end, scraper.energy_j if scraper else {}),
        state=FINISHED,
        finished_utc=datetime.now(UTC).isoformat(),
        t0_utc=_utc(live.get("t0_unix_s")),
        interrupted=interrupted,
        aborted=live.get("aborted"),
        clock={number: WorkerClock(**clock) for number, clock in live.get("workers", {}).items()},
        provenance={name: "simulated" if s else "measured" for name, s in live.get("supplies", {}).items()},
        server_deltas=deltas,
        stand_ins=emulator,
        warnings=(*_warnings(job, live, interrupted), *untold_warnings(run), *whole_warnings(run)),
        skipped=(*_skipped_streams(job), *(scraper.skipped if scraper else ())),
    )
    write_info(job.folder, info)
    job.without_secrets().write(job.folder / "job.json")
    (job.folder / "live.json").unlink(missing_ok=True)
    return info


def _utc(unix_s: float | None) -> str | None:
    return None if unix_s is None else datetime.fromtimestamp(unix_s, UTC).isoformat()


def _warnings(job: LoadJob, live: Live, interrupted: bool) -> list[str]:
    """What a reader of the numbers must know first."""
    warnings = [*job.arrivals_notes, *live.get("notes", ())]
    if interrupted:
        warnings.append("interrupted: fewer turns were offered than planned")
    if job.closed_loop_users is not None:
        warnings.append(
            f"closed loop of {job.closed_loop_users} users: it asks less when the target is slow, and so hides its "
            "slowness (coordinated omission); compare its latencies with closed loops alone"
        )
    counters = live.get("counters", {})
    if failed := counters.get("refreshes_failed", 0):
        warnings.append(f"{failed:.0f} refreshes of a token or of credentials failed: the old ones were sent on")
    return [*warnings, *_end_warnings(counters)]


def _end_warnings(counters: Mapping[str, float]) -> list[str]:
    """Where the end that answers said was not that of their bodies."""
    warnings, sent = [], counters.get("sent", 0)
    if left_open := counters.get("left_open", 0):
        warnings.append(
            f"{left_open:.0f} of {sent:.0f} answers said their end and left the body open for more than "
            f"{END_GRACE_S:g} s: each counts as ended where it said so, and its connection was closed"
        )
    if went_on := counters.get("went_on", 0):
        warnings.append(
            f"{went_on:.0f} of {sent:.0f} answers went on after the end they had said: what came then is not "
            "measured; where it is part of the answer, a mapping's `end` names too early an event"
        )
    return warnings


def _with_results(
    info: RunInfo,
    job: LoadJob,
    run: Run,
    live: Live,
    killed: dict[int, End],
    emulator: Lateness | None,
    system_end: SystemEnd | None,
    energy_j: Mapping[str, float],
) -> RunInfo:
    """With what came of the run: verdict, totals, quantiles, and the first limit exceeded."""
    quantiles = latency_quantiles(run.turns, _gap_histogram(job.folder))
    asked_s = asked_time_s(job, live)
    valid = verdict(
        Evidence(
            start_lag=quantiles["start_lag_s"],
            ttft=quantiles["ttft_s"],
            killed=killed,
            system_end=None if system_end is None else system_end.end,
            lost=tuple(live.get("lost", ())),
            faults=tuple(live.get("faults", ())),
            counters=live.get("counters", {}),
            rows=len(run.turns),
            emulator=emulator,
            finished=live.get("state") == "finished",
            lost_ratio=lost_ratio(job, run, {*killed, *live.get("lost_workers", ())}, asked_s),
        )
    )
    lag_limit_s = start_lag_limit_s(quantiles["ttft_s"]["p50"].value)
    return replace(
        info,
        asked_s=asked_s,
        verdict=valid,
        totals=replace(
            with_energy(totals(run, asked_s, job.scenario["slo"]), energy_j),
            error_samples=live.get("error_samples", {}),
            autobuy=autobuy_totals(job.prices_url, run),
            resent=_counted(live, "resent"),
            left_open=_counted(live, "left_open"),
            went_on=_counted(live, "went_on"),
        ),
        quantiles=quantiles,
        batch_means=batch_means(run.turns, asked_s),
        steady_state=steady_state(run, asked_s),
        littles_law=littles_law(run, asked_s),
        faults=marked_faults(job, live),
        first_turn=first_turn(run.turns),
        slo=slo_results(run.turns, job.scenario["slo"], asked_s, quantiles),
        what_broke_first=_with_end(limits_exceeded(run, job.scenario, lag_limit_s, asked_s), system_end),
    )


def _counted(live: Live, name: str) -> int | None:
    count = live.get("counters", {}).get(name)
    return None if count is None else int(count)


def _with_end(crossings: tuple[Crossing, ...], system_end: SystemEnd | None) -> tuple[Crossing, ...]:
    """A process of ours that ended is among what broke, at the time at which it did."""
    if system_end is None:
        return crossings
    end = Crossing(f"the {system_end.end.name}", system_end.at_s, 1.0, 0.0, str(system_end.end))
    return tuple(sorted((end, *crossings), key=lambda crossing: crossing.at_s))


def lost_ratio(job: LoadJob, run: Run, lost: Collection[int], asked_s: float) -> float | None:
    """Planned arrivals of lost workers that have no row, over all planned while turns were offered.

    None without a lost worker, and for a closed loop, whose arrivals its answers decide.
    """
    if not lost or job.closed_loop_users is not None:
        return None
    plan = make_schedule(job, json.loads(Path(job.messages).read_text())["messages"])
    planned = int((plan.offset_s < asked_s).sum())
    begun = {int(session_id.removeprefix("s")) for session_id in run.turns["session_id"].unique()}
    missing = sum(index % job.workers in lost and index not in begun for index in range(planned))
    return missing / planned if planned else None


def marked_faults(job: LoadJob, live: Live) -> tuple[FaultSpan, ...]:
    """The scenario's faults inside the run, on its own clock.

    Empty without an emulator, or when it was not given t0 (a warning says so).
    """
    if job.emulator_url is None or any("t0 not set" in note for note in live.get("notes", ())):
        return ()
    begin_s = job.window[0] if job.follows_event and job.rate_per_s is None and job.for_s is None else 0.0
    spans = []
    for fault in job.scenario["faults"]:
        start_s = max(0.0, fault["at_s"] - begin_s)
        end_s = min(fault["at_s"] + fault["length_s"] - begin_s, job.length_s + job.drain_s)
        if start_s < end_s:
            kept = {name: fault[name] for name in ("kind", "model", "region", "ratio")}
            spans.append(FaultSpan(**kept, start_s=start_s, end_s=end_s))
    return tuple(spans)


def asked_time_s(job: LoadJob, live: Live) -> float:
    """How long turns were offered: shorter than planned where the run was interrupted, aborted or lost its master."""
    asked_s = float(live.get("asked_s") or job.length_s)
    if live.get("state") != "finished":
        asked_s = min(asked_s, float(live.get("elapsed_s") or asked_s))
    return asked_s if asked_s > 0 else job.length_s


def _skipped_streams(job: LoadJob) -> list[str]:
    skipped = skipped_streams(
        job.scenario,
        planner=job.planner_url is not None,
        assistant=job.prices_url is not None,
        follows_event=job.follows_event,
    )
    if job.remote_workers and job.prices_url is not None and job.scenario["demand"]["background"].get("price_ticks"):
        skipped.append(f"price_ticks: the share of {job.remote_workers} remote workers, which have no catalogue")
    return skipped


def _gap_histogram(folder: Path) -> Histogram:
    """Gaps between chunks are too many for rows: they live in the merged histogram alone."""
    try:
        raw = json.loads((folder / "histograms.json").read_text())
    except FileNotFoundError:
        return Histogram()
    gaps = raw.get("metrics", {}).get("gap_s")
    return Histogram.from_json(gaps) if gaps else Histogram()


def _one_generator_file(run: Run) -> Run:
    """Join the generator's chunks into `generator.parquet`: a few rows a second do not need many files."""
    pieces = sorted(run.path.glob("generator-*.parquet"))
    if pieces:
        columns = {str(name): run.generator[name].to_list() for name in run.generator}
        write_chunk(run.path, "generator.parquet", "generator", columns)
        for piece in pieces:
            piece.unlink()
    return run


def emulator_lateness(url: str | None) -> Lateness | None:
    """How late the emulator itself was; None when there are none, or they no longer answer."""
    if url is None:
        return None
    try:
        headers = control_headers(url)
        answer: Lateness = json.loads(fetch(f"{url}/control/lateness", within_s=EMULATOR_WITHIN_S, headers=headers))
    except (FetchError, ValueError) as error:
        return {"late": None, "reasons": [], "error": str(error)}
    if not isinstance(answer, dict) or not isinstance(answer.get("reasons", []), list):
        return {"late": None, "reasons": [], "error": "its answer is of another shape"}
    answer["reasons"] = [str(reason) for reason in answer.get("reasons", [])]
    return answer
