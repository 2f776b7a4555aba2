"""`bench run --matrix bench.yaml`: models x targets, one record each.

schema: peakday.bench_matrix/1
suite: full                       # quick, latency, throughput, full
slo: {ttft_s_p99: 0.5, tpot_s_p99: 0.05}  # for the headline; no key, no limit
lengths: [512, 3239]              # axes in place of the suite's own, of every target or of one: prompt lengths,
contexts: [4096]                  # contexts before decoding, and users (batches)
users: [1, 4]
models: [nano, llama-3.1-8b]      # presets, config.json paths; for an endpoint the names it serves
targets:
  - {device: cpu, method: trace}
  - {device: neuron, method: trace, chip: inferentia2, dtype: bfloat16, artifact_store: s3://bucket/graphs}
  - {device: neuron, method: endpoint, url: http://127.0.0.1:8000/v1, chip: trainium2, tp: 4, chips_used: 1,
     models: [custom]}
  - {device: neuron, method: endpoint, url: http://127.0.0.1:8000/v1, chip: trainium2, tp: 4, chips_used: 1,
     models: [custom], serve: [vllm, serve, MODEL, --served-model-name, custom, --tensor-parallel-size, "4"],
     options: {neuron_config.num_seqs_buckets: [[1, 16], [1, 4, 16]], max_num_seqs: [16]}}   # every combination
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from host.checked import check
from host.yaml_text import read_yaml
from neuron_bench.endpoint import sweep
from neuron_bench.endpoint.sweep import EndpointSpec
from neuron_bench.errors import BenchError, BenchUsageError, DeviceError
from neuron_bench.progress import Progress
from neuron_bench.served import commands, served
from neuron_bench.trace import suite
from neuron_bench.trace.cases import SUITES
from neuron_bench.trace.suite import Spec
from slo.slo import Slo, SloError, slos_of

SCHEMA = "peakday.bench_matrix/1"
_AXES = ("lengths", "contexts", "users")
_KEYS = {"schema", "suite", "slo", "models", "targets", "seed", *_AXES}


@dataclass(frozen=True)
class Entry:
    """One bench of the matrix: its folder's name, what to run, and the command of its server where we start it."""

    name: str
    spec: Spec | EndpointSpec
    command: tuple[str, ...] = ()


@dataclass(frozen=True)
class Matrix:
    """A parsed matrix file."""

    slos: tuple[Slo, ...]
    entries: tuple[Entry, ...]


@dataclass(frozen=True)
class Outcome:
    """Records that were written, and benches that were refused with the reason; one refusal stops no other bench."""

    benches: tuple[Path, ...]
    refused: dict[str, str]


@dataclass(frozen=True)
class _Shape:
    """The kinds of values that the keys of a matrix file hold."""

    suite: str = "quick"
    seed: int = 1
    slo: dict[str, float] | None = None
    models: list[str] | None = None
    targets: list[dict[str, object]] | None = None


_SHAPE_KEYS = {item.name for item in fields(_Shape)}


def read_matrix(path: Path) -> Matrix:
    """Parse and check a matrix file.

    Raises:
        BenchUsageError: names file, key and fix.
    """
    raw = read_yaml(path, error=BenchUsageError)
    if raw.get("schema") != SCHEMA:
        raise BenchUsageError(f"{path}: schema: expected {SCHEMA}")
    _check_keys(path, "", raw, _KEYS)
    check(_Shape, {key: value for key, value in raw.items() if key in _SHAPE_KEYS}, str(path), error=BenchUsageError)
    grid = raw.get("suite", "quick")
    if grid not in SUITES:
        raise BenchUsageError(f"{path}: suite: {grid!r}: expected one of {', '.join(SUITES)}")
    targets = raw.get("targets") or []
    if not isinstance(targets, list) or not all(isinstance(target, dict) for target in targets):
        raise BenchUsageError(f"{path}: targets: expected a list of mappings")
    for number, target in enumerate(targets):
        check(list[str] | None, target.get("models"), f"{path}: targets[{number}].models", error=BenchUsageError)  # type: ignore[arg-type]
    shared = {"suite": grid, "seed": int(raw.get("seed", 1))} | {axis: raw[axis] for axis in _AXES if axis in raw}
    entries = [
        entry
        for number, target in enumerate(targets)
        for model in target.get("models") or raw.get("models") or []
        for entry in _entries(path, number, target, str(model), shared)
    ]
    if not entries:
        raise BenchUsageError(f"{path}: targets and models: none is given, so there is nothing to run")
    return Matrix(_slos(path, raw.get("slo") or {}), tuple(entries))


def _slos(path: Path, limits: dict[str, float]) -> tuple[Slo, ...]:
    """`ttft_s_p95: 0.5`; a latency without its percentile is held to p99."""
    named = {name if name.rpartition("_p")[2].isdigit() else f"{name}_p99": limit for name, limit in limits.items()}
    try:
        return slos_of(named)
    except SloError as error:
        raise BenchUsageError(f"{path}: slo: {error}") from None


_NOT_IN_A_FILE = {"cases", "effort", "loads", "model", "suite", "seed", "admitted", "served"}


_SERVER_KEYS = ("serve", "options")


def _entries(
    path: Path, number: int, target: Mapping[str, object], model: str, shared: Mapping[str, object]
) -> list[Entry]:
    """One entry, or one for each combination of its server's options."""
    entry = _entry(path, number, {k: v for k, v in target.items() if k not in _SERVER_KEYS}, model, shared)
    serve, options = (target.get(key) for key in _SERVER_KEYS)
    if serve is None and options is None:
        return [entry]
    where = f"{path}: targets[{number}]"
    if not isinstance(entry.spec, EndpointSpec):
        raise BenchUsageError(f"{where}.serve: only an endpoint has a server to start")
    command = check(list[str], serve or [], f"{where}.serve", error=BenchUsageError)
    axes = check(dict[str, list[object]], options or {}, f"{where}.options", error=BenchUsageError)
    try:
        several = commands(command, axes, entry.spec.url)
    except BenchUsageError as error:
        raise BenchUsageError(f"{where}.{error}") from None
    return [
        replace(entry, name=f"{entry.name}.{place}", command=each, spec=replace(entry.spec, served=each))
        for place, each in enumerate(several)
    ]


def _entry(path: Path, number: int, target: Mapping[str, object], model: str, shared: Mapping[str, object]) -> Entry:
    settings = {key: value for key, value in target.items() if key not in ("method", "models")}
    method = target.get("method", "trace")
    kinds: dict[str, type[Spec] | type[EndpointSpec]] = {"trace": Spec, "endpoint": EndpointSpec}
    if not isinstance(method, str) or method not in kinds:
        raise BenchUsageError(f"{path}: targets[{number}].method: {method!r}: expected trace or endpoint")
    known = {field.name for field in fields(kinds[method])} - _NOT_IN_A_FILE
    _check_keys(path, f"targets[{number}].", settings, known)
    if method == "endpoint" and "url" not in settings:
        raise BenchUsageError(f"{path}: targets[{number}].url: missing; an endpoint needs one")
    name = "-".join(str(part) for part in (Path(model).name, settings.get("chip") or settings.get("device"), method))
    adapter: TypeAdapter[Spec | EndpointSpec] = TypeAdapter(kinds[method])
    try:
        return Entry(f"{name}-{number}", adapter.validate_python({**shared, **settings, "model": model}))
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise BenchUsageError(f"{path}: targets[{number}].{key}: {first['input']!r}: {first['msg'].lower()}") from None


def _check_keys(path: Path, where: str, given: Mapping[str, object], known: set[str]) -> None:
    unknown = sorted(set(given) - known)
    if unknown:
        raise BenchUsageError(f"{path}: {where}{unknown[0]}: unknown key; known: {', '.join(sorted(known))}")


def run_matrix(matrix: Matrix, out_dir: Path, *, progress: Progress | None = None) -> Outcome:
    """Run every entry into `out_dir/NAME`, skipping those that are there already (so a matrix resumes).

    Raises:
        DeviceError: every single bench was refused (exit 5).
    """
    out_dir.mkdir(parents=True, exist_ok=True)
    done: list[Path] = []
    refused: dict[str, str] = {}
    for entry in matrix.entries:
        folder = out_dir / entry.name
        try:
            done.append(folder if folder.exists() else _run(entry, folder, progress))
        except BenchError as error:
            refused[entry.name] = str(error)
    if not done:
        raise DeviceError("; ".join(f"{name}: {reason}" for name, reason in refused.items()))
    return Outcome(tuple(done), refused)


def _run(entry: Entry, folder: Path, progress: Progress | None) -> Path:
    work: Callable[..., Path] = sweep.run if isinstance(entry.spec, EndpointSpec) else suite.run
    url = entry.spec.url if isinstance(entry.spec, EndpointSpec) else ""
    with served(entry.command, url, folder.with_name(f"{folder.name}.log")):
        return work(entry.spec, folder, progress=progress)
