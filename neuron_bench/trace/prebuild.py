"""Compile ahead: every graph of a bench into its artifact store, on a machine that need not have a chip."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from neuron_bench.device import probe
from neuron_bench.device.chips import chip_on
from neuron_bench.errors import BenchUsageError, DeviceError
from neuron_bench.models.presets import require_buildable, shape_of
from neuron_bench.models.shapes import Shape
from neuron_bench.progress import Clock, Progress
from neuron_bench.trace import artifacts, children
from neuron_bench.trace.messages import LoadRequest
from neuron_bench.trace.suite import Spec, fetch_graph, keep_graph, key_parts, wanted_cases

COMPILE_TARGETS = {"inferentia2": "inf2", "trainium1": "trn1", "trainium2": "trn2"}
"""neuronx-cc's --target by chip. Source: Neuron Compiler CLI guide."""


@dataclass(frozen=True)
class Built:
    """One graph in the store; compile_s is None where it was there already."""

    case: str
    artifact_key: str
    compile_s: float | None


def prebuild(spec: Spec, *, progress: Progress | None = None, dev: Path = Path("/dev")) -> list[Built]:
    """Compile what `suite.run` of the same spec would.

    Raises:
        DeviceError: neither a ready device nor a compiler (exit 5).
        BenchUsageError: no artifact store, or no chip named where there is none (2).
    """
    if spec.artifact_store is None:
        raise BenchUsageError("prebuild needs an artifact store: a folder, or s3://BUCKET/PREFIX")
    shape = shape_of(spec.model)
    require_buildable(shape)
    spec = replace(spec, chip=chip_on(spec.device, spec.chip))
    return list(_build_all(spec, shape, _target(spec, dev), progress))


def _target(spec: Spec, dev: Path) -> str | None:
    """The family to compile for; None where the device itself is here."""
    report = probe.probe(spec.device, dev=dev)
    if report.native:
        raise BenchUsageError(
            f"{report.reason}: it compiles at the first step and keeps its own cache; there is nothing to build ahead"
        )
    if report.ready:
        return None
    if report.level != "compile_only":
        raise DeviceError(f"device {spec.device}: {report.level}: {report.reason}; {report.remedy}")
    if spec.chip not in COMPILE_TARGETS:
        raise BenchUsageError(f"chip {spec.chip!r}: without one here, name one of {', '.join(COMPILE_TARGETS)}")
    return COMPILE_TARGETS[spec.chip]


def _build_all(spec: Spec, shape: Shape, target: str | None, progress: Progress | None) -> Iterator[Built]:
    store = artifacts.open_store(spec.artifact_store or "")
    cases = wanted_cases(spec, shape)
    clock = Clock(progress, total=len(cases))
    for case in cases:
        clock.tick(f"compile {case.label}")
        seconds = _build(fetch_graph(store, spec, shape, case), spec, target)
        if seconds is not None:
            keep_graph(store, spec, shape, case)
        yield Built(case.label, artifacts.key(key_parts(spec, shape, case)), seconds)


def _build(request: LoadRequest, spec: Spec, target: str | None) -> float | None:
    child = children.start(spec.device, threads=spec.threads)
    try:
        return child.load(replace(request, build_only=True, compile_target=target)).compile_s
    finally:
        child.close()
