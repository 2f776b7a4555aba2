"""`bench run`: every case in a process of its own, children kept alive and served in random turns, one record.

Interleaving spreads what the machine does to us over all cases alike. Nothing here imports torch.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

import numpy as np
import pandas as pd

from host.environment import host_facts
from neuron_bench.device import probe, telemetry
from neuron_bench.device.chips import chip_name, chip_on
from neuron_bench.errors import BenchError, BenchUsageError
from neuron_bench.models.presets import require_buildable, shape_of
from neuron_bench.models.shapes import Shape, shape_json
from neuron_bench.progress import Clock, Progress
from neuron_bench.record import CaseRow, load_bench, write_bench
from neuron_bench.trace import artifacts, children, roofline
from neuron_bench.trace.cases import EFFORTS, Axes, Case, Effort, suite_cases
from neuron_bench.trace.messages import LoadRequest
from neuron_bench.trace.rows import Timed, case_rows, samples_of, unfinished_cases

ALIVE_MAX = 8
"""Children alive at once: the quick suite in one group, larger suites in groups, so that memory stays bounded."""

MEMORY_SHARE = 0.7
"""Of the host's memory, what the children alive at once may take for weights and caches."""

HANG_UP_S = 1.0
"""How long children may take to end after Ctrl-C."""


@dataclass(frozen=True)
class Spec:
    """What to bench. `core`: the CPU core children are pinned to; None picks the last one we may use."""

    device: str = "cpu"
    model: str = "nano"
    suite: str = "quick"
    dtype: str = "float32"
    seed: int = 1
    threads: int = 1
    core: int | None = None
    chip: str | None = None
    instance_type: str | None = None
    compiler_args: str | None = None
    artifact_store: str | None = None
    lengths: tuple[int, ...] = ()
    contexts: tuple[int, ...] = ()
    users: tuple[int, ...] = ()
    cases: tuple[Case, ...] = ()
    effort: Effort | None = None

    @property
    def axes(self) -> Axes:
        """Lengths and batches in place of the suite's own."""
        return Axes(self.lengths, self.contexts, self.users)


@dataclass(frozen=True)
class _Bench:
    """What every case of one bench shares."""

    spec: Spec
    shape: Shape
    effort: Effort
    store: artifacts.Store
    draw: np.random.Generator
    clock: Clock
    cores: int
    native: bool

    def core_of(self, place: int) -> int:
        """The accelerator core of the child at this place of its group: children hold their cores while alive."""
        return place % self.cores


def run(
    spec: Spec,
    folder: Path,
    *,
    progress: Progress | None = None,
    resume: Path | None = None,
    dev: Path = Path("/dev"),
) -> Path:
    """Measure every case of the spec and write the record at `folder`.

    Its state is `finished`, `unfinished` where a case failed or ran out of time, or `interrupted`: Ctrl-C keeps what
    was measured until then. `resume` carries over the finished cases of an earlier record; `dev` is where device nodes
    are looked for. A case that no core has room for is skipped, with its bytes.

    Raises:
        DeviceError: the device is not ready (exit 5). BenchUsageError: bad model or suite, nothing left to run (2).
        BenchError: no case could be measured.
    """
    shape = shape_of(spec.model)
    require_buildable(shape)
    spec = replace(spec, chip=chip_on(spec.device, spec.chip))
    wanted = wanted_cases(spec, shape)
    report = probe.require(spec.device, dev=dev)
    spec = _on_this_chip(spec, report)
    earlier_rows, earlier_samples = _earlier(resume, spec, shape)
    cases = [case for case in wanted if case.label not in {row.label for row in earlier_rows}]
    if not cases:
        raise BenchUsageError(f"{resume or spec.model}: nothing left to run: every case is there, or too long")
    cases, skipped = _with_room(spec, shape, cases)
    effort = spec.effort or EFFORTS[spec.suite]
    started = datetime.now(UTC)
    with telemetry.Sampler(spec.device) as machine:
        timed, interrupted = _measure_all(spec, shape, cases, effort, report, progress)
    kept = [case for case in timed if case.kept(effort, interrupted=interrupted)]
    unfinished = unfinished_cases(timed, effort, interrupted=interrupted)
    if not kept and not earlier_rows:
        reason = next((case.error for case in timed if case.error), "stopped before the first case was finished")
        raise BenchError(f"bench {folder.name}: nothing was measured: {reason}")
    base = replace(_base(spec, shape, started), provenance=_provenance(report))
    rows = [row for case in kept for row in case_rows(case, shape, base, effort, quick=spec.suite == "quick")]
    info = _info(spec, folder, started, report) | {
        "state": "interrupted" if interrupted else "unfinished" if unfinished else "finished",
        "unfinished": unfinished,
        "skipped": skipped,
        "carried_over": len(earlier_rows),
        "telemetry_missing": machine.missing,
    }
    samples = [sample for case in kept for sample in samples_of(case)]
    return write_bench(folder, info, [*earlier_rows, *rows], samples=earlier_samples + samples, telemetry=machine.rows)


def wanted_cases(spec: Spec, shape: Shape) -> list[Case]:
    """The cases of a spec: its own, or its suite's."""
    return list(spec.cases) or suite_cases(shape, spec.suite, spec.dtype, spec.axes)


def _on_this_chip(spec: Spec, report: probe.ProbeReport) -> Spec:
    """The spec with the chip that the machine says it has, where it says so.

    Raises:
        BenchUsageError: another chip was named than the one that is here.
    """
    here = report.chip
    if here is None or (found := chip_name(here)) is None:
        return spec
    if spec.chip not in (None, found):
        raise BenchUsageError(f"chip {spec.chip}: this machine has {found} ({here}); leave --chip out, or run it there")
    return replace(spec, chip=found)


def room_bytes(spec: Spec) -> tuple[float | None, str]:
    """Memory that one case may take, and whose it is."""
    if spec.device == "cpu":
        return float(host_facts()["memory_bytes"]) * MEMORY_SHARE, f"{MEMORY_SHARE:.0%} of this machine"
    return roofline.core_memory_bytes(spec.chip), f"one core of {spec.chip}"


def _with_room(spec: Spec, shape: Shape, cases: Sequence[Case]) -> tuple[list[Case], dict[str, str]]:
    """The cases that fit where they run, and the others with their bytes: this route spans no cores.

    Raises:
        BenchUsageError: none fits.
    """
    room, whose = room_bytes(spec)
    sizes = {case: roofline.memory_bytes(shape, case) for case in cases}
    skipped = {
        case.label: f"{size / 2**30:.1f} GiB of weights and caches, {whose} has {room / 2**30:.1f}"
        for case, size in sizes.items()
        if room is not None and size > room
    }
    fitting = [case for case in cases if case.label not in skipped]
    if not fitting:
        label, reason = next(iter(skipped.items()))
        raise BenchUsageError(
            f"{shape.name}, {label}: {reason}; take a smaller dtype or model, or serve it and use --method endpoint"
        )
    return fitting, skipped


def _alive_max(spec: Spec, shape: Shape, cases: Sequence[Case], cores: int) -> int:
    """Children alive at once: no more than accelerator cores, or than this machine's memory holds."""
    if spec.device != "cpu":
        return min(ALIVE_MAX, cores)
    largest = max(roofline.memory_bytes(shape, case) for case in cases)
    return max(1, min(ALIVE_MAX, int((room_bytes(spec)[0] or 0) // largest)))


def _measure_all(
    spec: Spec,
    shape: Shape,
    cases: Sequence[Case],
    effort: Effort,
    report: probe.ProbeReport,
    progress: Progress | None,
) -> tuple[list[Timed], bool]:
    """Every case measured, in groups; and whether somebody stopped it."""
    draw = np.random.default_rng(spec.seed)
    clock = Clock(progress, total=len(cases) * (effort.turns + 1))
    timed = [Timed(cases[k]) for k in draw.permutation(len(cases))]
    cores = _accelerator_cores(report)
    alive = _alive_max(spec, shape, cases, cores)
    with tempfile.TemporaryDirectory(prefix="peakday-bench-") as scratch:
        store = artifacts.open_store(spec.artifact_store or scratch)
        bench = _Bench(spec, shape, effort, store, draw, clock, cores, report.native)
        for start in range(0, len(timed), alive):
            try:
                _measure_group(bench, timed[start : start + alive])
            except KeyboardInterrupt:
                return timed, True
    return timed, False


def _measure_group(bench: _Bench, group: Sequence[Timed]) -> None:
    """Start a child for each case, then serve their turns in a random order, round by round."""
    alive: list[children.Child] = []
    wait_s = HANG_UP_S
    try:
        # All at once: each imports its libraries for seconds before it can be asked for anything.
        for place in range(len(group)):
            alive.append(children.start(bench.spec.device, core=bench.core_of(place), threads=bench.spec.threads))
        for place, case in enumerate(group):
            bench.clock.tick(f"build {case.case.label}")
            _guarded(_load, bench, case, alive[place])
        spent = [0.0] * len(group)
        while waiting := [k for k, case in enumerate(group) if _goes_on(bench.effort, case, spent[k])]:
            for place in bench.draw.permutation(np.array(waiting, dtype=int)):
                bench.clock.tick(group[place].case.label)
                begun = time.monotonic()
                _guarded(_turn, bench, group[place], alive[place])
                spent[place] += time.monotonic() - begun
        wait_s = children.CLOSE_S
    finally:
        children.close_all(alive, wait_s)


def _goes_on(effort: Effort, case: Timed, spent_s: float) -> bool:
    """Whether a case needs another turn: unfinished, able, and not out of time."""
    return case.error is None and not case.finished(effort) and spent_s < effort.case_seconds_max


def _guarded(
    work: Callable[[_Bench, Timed, children.Child], None], bench: _Bench, case: Timed, child: children.Child
) -> None:
    """A case that fails keeps its reason and does not stop the others."""
    try:
        work(bench, case, child)
    except children.ChildError as error:
        case.error = str(error)


def _load(bench: _Bench, case: Timed, child: children.Child) -> None:
    spec = bench.spec
    case.artifact_key = artifacts.key(key_parts(spec, bench.shape, case.case))
    request = fetch_graph(bench.store, spec, bench.shape, case.case)
    case.loaded = child.load(replace(request, native=bench.native))
    if case.loaded.compile_s is not None and not bench.native:
        keep_graph(bench.store, spec, bench.shape, case.case)
    case.warmed = child.warm(turn_s=bench.effort.turn_s, windows_max=bench.effort.warm_windows_max)


def fetch_graph(store: artifacts.Store, spec: Spec, shape: Shape, case: Case) -> LoadRequest:
    """What a child is asked to build and load, with the files that the store has."""
    return load_request(
        spec, shape, case, store.fetch(artifacts.key(key_parts(spec, shape, case))), _weights(store, spec, shape, case)
    )


def keep_graph(store: artifacts.Store, spec: Spec, shape: Shape, case: Case) -> None:
    """Put a new graph, and the weights that it shares with others, into the store."""
    store.keep(artifacts.key(key_parts(spec, shape, case)))
    if spec.device != "neuron":
        store.keep(_weights_key(spec, shape, case))


def _weights_key(spec: Spec, shape: Shape, case: Case) -> str:
    """Of the file that all graphs of a model, dtype and seed share."""
    parts = {"shape": shape_json(shape), "dtype": case.dtype, "seed": spec.seed, "versions": installed_versions()}
    return f"weights-{artifacts.key(parts)}"


def _weights(store: artifacts.Store, spec: Spec, shape: Shape, case: Case) -> Path | None:
    """Where the shared weights are; a Neuron graph holds its own."""
    return None if spec.device == "neuron" else store.fetch(_weights_key(spec, shape, case))


def load_request(spec: Spec, shape: Shape, case: Case, artifact: Path, weights: Path | None = None) -> LoadRequest:
    """What a child is asked to build and load."""
    return LoadRequest(
        case=case,
        shape=shape,
        device=spec.device,
        threads=spec.threads,
        seed=spec.seed,
        artifact=str(artifact),
        weights=str(weights or artifact.with_suffix(".weights")),
        compiler_args=spec.compiler_args,
        core=_cpu_core(spec),
    )


def _turn(bench: _Bench, case: Timed, child: children.Child) -> None:
    case.turns.append(child.turn(seconds=bench.effort.turn_s, samples=3))


def key_parts(spec: Spec, shape: Shape, case: Case) -> dict[str, object]:
    """What a compiled graph depends on. Weights are inside it, so the seed counts too."""
    return {
        "shape": shape_json(shape),
        "case": asdict(case),
        "target": spec.chip or spec.device,
        "compiler_args": spec.compiler_args,
        "seed": spec.seed,
        "versions": installed_versions(),
    }


def installed_versions() -> dict[str, str]:
    """Versions that a graph depends on, from the installed packages' metadata: nothing is imported."""
    versions = {}
    for name in ("torch", "torch-neuronx", "neuronx-cc", "torch-xla"):
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


def _cpu_core(spec: Spec) -> int | None:
    if spec.device != "cpu" or not hasattr(os, "sched_getaffinity"):
        return None
    return max(os.sched_getaffinity(0)) if spec.core is None else spec.core


def _earlier(resume: Path | None, spec: Spec, shape: Shape) -> tuple[list[CaseRow], list[dict[str, object]]]:
    """Rows and samples of a record to go on from: its finished cases."""
    if resume is None:
        return [], []
    bench = load_bench(resume)
    made_by = {(row.model_id, row.device_kind, row.chip) for row in bench.rows}
    if made_by != {(shape.name, spec.device, spec.chip)}:
        was = ", ".join(f"{model} on {chip or device}" for model, device, chip in sorted(made_by, key=str))
        raise BenchUsageError(f"{resume}: is of {was}; {shape.name} on {spec.chip or spec.device} cannot go on with it")
    cut = {row.label for row in bench.rows if "interrupted" in row.flag_names}
    rows = [row for row in bench.rows if row.label not in cut]
    path = bench.path / "samples.parquet"
    samples = pd.read_parquet(path).to_dict("records") if path.exists() else []
    return rows, [{str(k): v for k, v in s.items()} for s in samples if s["record_id"] not in cut]


def _accelerator_cores(report: probe.ProbeReport) -> int:
    """Neuron cores that neuron-ls lists: one child each. One where it says nothing, and one GPU at a time."""
    return sum(device.cores for device in report.neuron_ls) or 1


def _provenance(report: probe.ProbeReport) -> str:
    """`measured`, unless the library that ran is the contract tests' fake, which says so in its version."""
    return "schema_example" if "schema.example" in str(report.version) else "measured"


def _base(spec: Spec, shape: Shape, started: datetime) -> CaseRow:
    """Columns that every row of this bench shares."""
    return CaseRow(
        record_id="",
        created_utc=started.isoformat(timespec="seconds"),
        device_kind=spec.device,
        method="trace",
        chip=spec.chip,
        instance_type=spec.instance_type,
        chips_used=None if spec.device == "cpu" else 1.0,
        cores_used=spec.threads if spec.device == "cpu" else 1,
        compiler_args=spec.compiler_args,
        model_id=shape.name,
        params=shape.params,
        dtypes=spec.dtype,
        weights_random=True,
        tp=1,
        load1=os.getloadavg()[0],
    )


def _info(spec: Spec, folder: Path, started: datetime, report: probe.ProbeReport) -> dict[str, object]:
    return {
        "bench_id": folder.name,
        "started_utc": started.isoformat(timespec="seconds"),
        "finished_utc": datetime.now(UTC).isoformat(timespec="seconds"),
        "spec": asdict(spec),
        "probe": report.as_json(),
        "engine": "torch-native" if report.native else "torch-trace",
        "engine_version": report.version,
        "host": host_facts(),
        "flags": ["quick: not for plans"] if spec.suite == "quick" else [],
    }
