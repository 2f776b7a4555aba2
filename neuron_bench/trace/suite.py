"""`bench run`: every case in a process of its own, children kept alive and served in random turns, one record.

Interleaving spreads what the machine does to us over all cases alike. Nothing here imports torch.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from host.environment import host_facts
from neuron_bench.device import probe, telemetry
from neuron_bench.errors import BenchError, BenchUsageError
from neuron_bench.models.presets import Shape, shape_json, shape_of
from neuron_bench.record import load_bench, write_bench
from neuron_bench.trace import artifacts, children, measure, roofline
from neuron_bench.trace.cases import EFFORTS, Case, Clock, Effort, Progress, suite_cases
from neuron_bench.trace.rows import Timed, case_rows, samples_of

ALIVE_MAX = 8
"""Children alive at once: the quick suite in one group, larger suites in groups, so that memory stays bounded."""


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
    cases: tuple[Case, ...] = ()
    effort: Effort | None = None


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

    Ctrl-C keeps the finished cases (info.state = interrupted); `resume` carries over the cases of an earlier record;
    `dev` is where device nodes are looked for.

    Raises:
        DeviceError: the device is not ready (exit 5). BenchUsageError: bad model or suite, nothing left to run (2).
        BenchError: no case could be measured.
    """
    shape = shape_of(spec.model)
    wanted = list(spec.cases) or suite_cases(shape, spec.suite, spec.dtype)
    report = probe.require(spec.device, dev=dev)
    earlier_rows, earlier_samples = _earlier(resume, spec, shape)
    cases = [case for case in wanted if case.label not in {row["label"] for row in earlier_rows}]
    if not cases:
        raise BenchUsageError(f"{resume or spec.model}: nothing left to run: every case is there, or too long")
    _require_room(spec, shape, cases)
    effort = spec.effort or EFFORTS[spec.suite]
    started = datetime.now(UTC)
    with telemetry.Sampler(spec.device) as machine:
        timed, state = _measure_all(spec, shape, cases, effort, _accelerator_cores(report), progress)
    done = [one for one in timed if one.finished(effort)]
    if not done:
        reason = next((one.error for one in timed if one.error), "stopped before the first case was finished")
        raise BenchError(f"bench {folder.name}: nothing was measured: {reason}")
    base = _base(spec, shape, started) | {"provenance": _provenance(report)}
    rows = [row for one in done for row in case_rows(one, shape, base, quick=spec.suite == "quick")]
    info = _info(spec, folder, started, report, state) | {
        "unfinished": {one.case.label: one.error or "stopped" for one in timed if not one.finished(effort)},
        "carried_over": len(earlier_rows),
        "telemetry_missing": machine.missing,
    }
    samples = [sample for one in done for sample in samples_of(one)]
    return write_bench(folder, info, earlier_rows + rows, samples=earlier_samples + samples, telemetry=machine.rows)


def _require_room(spec: Spec, shape: Shape, cases: Sequence[Case]) -> None:
    """Refuse what cannot be on one core: this route spans no cores."""
    room = roofline.core_memory_bytes(spec.chip)
    largest = max(cases, key=lambda case: roofline.memory_bytes(shape, case))
    needed = roofline.memory_bytes(shape, largest)
    if room is not None and needed > room:
        raise BenchUsageError(
            f"{shape.name}, {largest.label}: {needed / 2**30:.1f} GiB of weights and caches, one core of "
            f"{spec.chip} has {room / 2**30:.1f}; take a smaller dtype or model, or serve it and use --method endpoint"
        )


def _measure_all(
    spec: Spec, shape: Shape, cases: Sequence[Case], effort: Effort, cores: int, progress: Progress | None
) -> tuple[list[Timed], str]:
    """Every case measured, in groups; and `finished` or `interrupted`."""
    draw = np.random.default_rng(spec.seed)
    clock = Clock(progress, total=len(cases) * (effort.turns + 1))
    timed = [Timed(cases[k]) for k in draw.permutation(len(cases))]
    with tempfile.TemporaryDirectory(prefix="peakday-bench-") as scratch:
        bench = _Bench(spec, shape, effort, artifacts.open_store(spec.artifact_store or scratch), draw, clock, cores)
        alive = ALIVE_MAX if spec.device == "cpu" else min(ALIVE_MAX, cores)
        for start in range(0, len(timed), alive):
            try:
                _measure_group(bench, timed[start : start + alive])
            except KeyboardInterrupt:
                return timed, "interrupted"
    return timed, "finished"


def _measure_group(bench: _Bench, group: Sequence[Timed]) -> None:
    """Start a child for each case, then serve their turns in a random order, round by round."""
    alive: list[children.Child] = []
    try:
        for place, one in enumerate(group):
            bench.clock.tick(f"build {one.case.label}")
            alive.append(children.start(bench.spec.device, core=bench.core_of(place), threads=bench.spec.threads))
            _guarded(_load, bench, one, alive[-1])
        for _round in range(bench.effort.turns * 3):
            waiting = [k for k, one in enumerate(group) if not one.error and not one.finished(bench.effort)]
            for place in bench.draw.permutation(np.array(waiting, dtype=int)):
                bench.clock.tick(group[place].case.label)
                _guarded(_turn, bench, group[place], alive[place])
    finally:
        for child in alive:
            child.close()


def _guarded(work: Callable[[_Bench, Timed, children.Child], None], bench: _Bench, one: Timed, child: Any) -> None:
    """A case that fails keeps its reason and does not stop the others."""
    try:
        work(bench, one, child)
    except children.ChildError as error:
        one.error = str(error)


def _load(bench: _Bench, one: Timed, child: children.Child) -> None:
    spec = bench.spec
    one.artifact_key = artifacts.key(key_parts(spec, bench.shape, one.case))
    path = bench.store.fetch(one.artifact_key)
    one.loaded = child.ask("load", **load_request(spec, bench.shape, one.case, path))
    if one.loaded["compile_s"] is not None:
        bench.store.keep(one.artifact_key)
    one.warmed = child.ask("warm", turn_s=bench.effort.turn_s, windows_max=bench.effort.warm_windows_max)


def load_request(spec: Spec, shape: Shape, case: Case, artifact: Path, **more: Any) -> dict[str, Any]:
    """What a child is asked to build and load."""
    return {
        "case": asdict(case),
        "shape": shape_json(shape),
        "device": spec.device,
        "threads": spec.threads,
        "seed": spec.seed,
        "artifact": str(artifact),
        "compiler_args": spec.compiler_args,
        "core": _cpu_core(spec),
        **more,
    }


def _turn(bench: _Bench, one: Timed, child: children.Child) -> None:
    answer = child.ask("turn", seconds=bench.effort.turn_s, samples=3)
    one.turns.append(measure.Turn(answer["calibration_s"], tuple(answer["wall_s"]), tuple(answer["cpu_s"])))


def key_parts(spec: Spec, shape: Shape, case: Case) -> dict[str, Any]:
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
    found = {}
    for name in ("torch", "torch-neuronx", "neuronx-cc", "torch-xla"):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _cpu_core(spec: Spec) -> int | None:
    if spec.device != "cpu" or not hasattr(os, "sched_getaffinity"):
        return None
    return max(os.sched_getaffinity(0)) if spec.core is None else spec.core


def _earlier(resume: Path | None, spec: Spec, shape: Shape) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Rows and samples of a record to go on from."""
    if resume is None:
        return [], []
    import pandas as pd

    bench = load_bench(resume)
    made_by = set(zip(bench.cases.model_id, bench.cases.device_kind, strict=True))
    if made_by != {(shape.name, spec.device)}:
        raise BenchUsageError(f"{resume}: is of {sorted(made_by)}; {shape.name} on {spec.device} cannot go on with it")
    rows = bench.cases.astype(object).where(bench.cases.notna(), None).to_dict("records")
    path = bench.path / "samples.parquet"
    samples = pd.read_parquet(path).to_dict("records") if path.exists() else []
    return [{str(k): v for k, v in row.items()} for row in rows], [{str(k): v for k, v in s.items()} for s in samples]


def _accelerator_cores(report: probe.ProbeReport) -> int:
    """Neuron cores that neuron-ls lists: one child each. One where it says nothing, and one GPU at a time."""
    return sum(device.cores for device in report.details.get("neuron_ls", ())) or 1


def _provenance(report: probe.ProbeReport) -> str:
    """`measured`, unless the library that ran is the contract tests' stand-in, which says so in its version."""
    return "schema_example" if "schema.example" in str(report.details.get("version")) else "measured"


def _base(spec: Spec, shape: Shape, started: datetime) -> dict[str, Any]:
    """Columns that every row of this bench shares."""
    load1 = os.getloadavg()[0]
    return {
        "created_utc": started.isoformat(timespec="seconds"),
        "device_kind": spec.device,
        "method": "trace",
        "chip": spec.chip,
        "instance_type": spec.instance_type,
        "chips_used": None if spec.device == "cpu" else 1.0,
        "cores_used": spec.threads if spec.device == "cpu" else 1,
        "compiler_args": spec.compiler_args,
        "model_id": shape.name,
        "params": shape.params,
        "dtypes": spec.dtype,
        "weights_random": True,
        "tp": 1,
        "load1": load1,
    }


def _info(spec: Spec, folder: Path, started: datetime, report: probe.ProbeReport, state: str) -> dict[str, Any]:
    return {
        "bench_id": folder.name,
        "state": state,
        "started_utc": started.isoformat(timespec="seconds"),
        "finished_utc": datetime.now(UTC).isoformat(timespec="seconds"),
        "spec": asdict(spec),
        "probe": asdict(report),
        "host": host_facts(),
        "flags": ["quick: not for plans"] if spec.suite == "quick" else [],
    }
