"""What a bench and its children say to each other: JSON lines over pipes, typed on both sides."""

from __future__ import annotations

from dataclasses import dataclass, field

from neuron_bench.models.shapes import Shape
from neuron_bench.trace.cases import Case


@dataclass(frozen=True, kw_only=True)
class LoadRequest:
    """What a child builds and loads. `artifact`: where the graph is, or goes; `weights`: the file that buckets share.

    native: the chip is a device of PyTorch's own (TorchNeuron, from 2.13) and no graph is kept.
    build_only: compile and keep, time nothing. compile_target: the Neuron family to compile for where no chip is.
    """

    case: Case
    shape: Shape
    device: str
    threads: int
    seed: int
    artifact: str
    weights: str
    compiler_args: str | None = None
    core: int | None = None
    native: bool = False
    build_only: bool = False
    compile_target: str | None = None


@dataclass(frozen=True)
class Loaded:
    """What a child built. compile_s is None where the graph was in the store; load_s where it was only built."""

    compile_s: float | None
    load_s: float | None
    device_mem_bytes: int | None
    versions: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Warmed:
    """Steps taken before any counts, and whether two windows in a row agreed."""

    n_warmup: int
    settled: bool
    step_s: float


@dataclass(frozen=True)
class Turn:
    """Samples of one turn of a child, with the calibration time taken just before."""

    calibration_s: float
    wall_s: tuple[float, ...]
    cpu_s: tuple[float, ...]


@dataclass(frozen=True)
class Greedy:
    """Tokens of greedy decode steps from an empty cache, a list per step."""

    tokens: tuple[tuple[int, ...], ...]
