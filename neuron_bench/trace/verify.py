"""`bench verify-on-chip`: what only a chip can confirm, run and reported pass or fail for the first user who has one.

Each check answers one claim that this package makes about Neuron from its documentation alone.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from neuron_bench.device import probe, telemetry
from neuron_bench.device.chips import chip_facts, chip_on
from neuron_bench.models.presets import shape_of
from neuron_bench.models.shapes import DecoderShape, Shape
from neuron_bench.trace import children
from neuron_bench.trace.cases import Case, decode
from neuron_bench.trace.messages import Loaded
from neuron_bench.trace.suite import Spec, load_request

STEPS = 64
SHORT_CACHE, LONG_CACHE = 256, 4096
HOST_LINK_BYTES_PER_S = 16e9
"""PCIe 4.0 x8, both ways together: a cache that crosses the link each step takes at least its bytes over this."""


@dataclass(frozen=True)
class Check:
    """One claim. passed: None = could not be run; `detail` says why, or what was measured."""

    name: str
    passed: bool | None
    detail: str


@dataclass
class _Machine:
    """What checks share: the bench to run, the report of the probe, and graphs in a scratch folder."""

    spec: Spec
    shape: Shape
    report: probe.ProbeReport
    scratch: Path

    def child(self, case: Case, device: str) -> tuple[children.Child, Loaded]:
        """A child with the case loaded on a device, and what it built."""
        spec = replace(self.spec, device=device)
        child = children.start(device)
        try:
            artifact = self.scratch / f"{device}-{case.label}.pt"
            request = load_request(spec, self.shape, case, artifact)
            return child, child.load(replace(request, native=self.report.native and device == "neuron"))
        except children.ChildError:
            child.close()
            raise

    def step_s(self, case: Case) -> float:
        """Median time of a step on the device."""
        child, _ = self.child(case, self.spec.device)
        try:
            child.warm(turn_s=0.4, windows_max=10)
            return statistics.median(child.turn(seconds=1.0, samples=30).wall_s)
        finally:
            child.close()


def verify(
    device: str = "neuron", *, chip: str | None = None, model: str = "tiny", dev: Path = Path("/dev")
) -> list[Check]:
    """Every check in order; a device that is not ready gets one failed check and the rest are not run."""
    chip = chip_on(device, chip)
    report = probe.probe(device, dev=dev)
    ready = Check("device is ready", report.ready, f"{report.level}: {report.reason}")
    if not report.ready:
        return [ready, *(Check(name, None, "the device is not ready") for name, _ in _CHECKS)]
    with tempfile.TemporaryDirectory(prefix="peakday-verify-") as scratch:
        machine = _Machine(Spec(device=device, model=model, chip=chip), shape_of(model), report, Path(scratch))
        return [ready, *_run_all(machine)]


def _run_all(machine: _Machine) -> Iterator[Check]:
    for name, work in _CHECKS:
        try:
            passed, detail = work(machine)
        except children.ChildError as error:
            passed, detail = False, str(error)
        yield Check(name, passed, detail)


Answer = tuple[bool | None, str]


def _decode_compiles(machine: _Machine) -> Answer:
    child, loaded = machine.child(decode(1, SHORT_CACHE, "float32"), machine.spec.device)
    child.close()
    return True, f"compiled in {loaded.compile_s or 0:.1f} s, loaded in {loaded.load_s or 0:.1f} s"


def _tokens_agree(machine: _Machine) -> Answer:
    """A state that is not kept from step to step, or kept wrongly, gives other tokens."""
    case = decode(2, SHORT_CACHE, "float32")
    tokens = []
    for device in (machine.spec.device, "cpu"):
        child, _ = machine.child(case, device)
        tokens.append(child.greedy(STEPS).tokens)
        child.close()
    first = next((k for k, pair in enumerate(zip(*tokens, strict=True)) if pair[0] != pair[1]), None)
    agree = f"{STEPS} greedy steps of 2 requests equal the CPU's"
    return first is None, agree if first is None else f"tokens differ from the CPU's at step {first}"


def _cache_stays(machine: _Machine) -> Answer:
    """A longer cache may cost what reading it costs, not what sending it over the host link costs."""
    if not isinstance(machine.shape, DecoderShape):
        return None, "needs a decoder"
    short, long = (machine.step_s(decode(1, tokens, "float32")) for tokens in (SHORT_CACHE, LONG_CACHE))
    more_bytes = (LONG_CACHE - SHORT_CACHE) * machine.shape.kv_values_per_token * 4
    crossing = more_bytes / HOST_LINK_BYTES_PER_S
    detail = f"step {short * 1e3:.2f} ms at {SHORT_CACHE}, {long * 1e3:.2f} ms at {LONG_CACHE} tokens of cache; "
    return long - short < crossing, detail + f"crossing the host link would add {crossing * 1e3:.2f} ms"


def _cores_match(machine: _Machine) -> Answer:
    devices, fact = machine.report.neuron_ls, chip_facts(machine.spec.chip)
    if not devices:
        return None, machine.report.neuron_ls_error or "neuron-ls lists no device"
    if fact is None:
        return None, "name the chip to compare with facts (chip=...)"
    expected = fact.logical_neuroncores_default
    counts = {device.cores for device in devices}
    return counts == {expected}, f"neuron-ls: {sorted(counts)} cores a chip; facts: {expected}"


def _watch(machine: _Machine) -> tuple[float, list[telemetry.Reading]]:
    """A few seconds of steps on core 0 with telemetry running: the median step, and the figures."""
    with telemetry.Sampler(machine.spec.device) as sampler:
        child, _ = machine.child(decode(1, SHORT_CACHE, "float32"), machine.spec.device)
        try:
            child.warm(turn_s=0.4, windows_max=10)
            ends = time.monotonic() + 4 * telemetry.PERIOD_S
            walls: list[float] = []
            while time.monotonic() < ends:
                walls += child.turn(seconds=0.5, samples=10).wall_s
        finally:
            child.close()
    return statistics.median(walls), [reading for reading in sampler.rows if reading.source == "neuron-monitor"]


def _latency_matches(machine: _Machine) -> Answer:
    wall, rows = _watch(machine)
    device = [reading.value for reading in rows if reading.name == "device_latency_s_p50"]
    if not device:
        return None, "neuron-monitor reported no device latency"
    share = statistics.median(device) / wall
    return 0.1 <= share <= 1.0, f"device latency p50 is {share:.0%} of our wall p50 ({wall * 1e3:.2f} ms)"


def _ids_match(machine: _Machine) -> Answer:
    _, rows = _watch(machine)
    busy = {int(r.name.split(".")[1]) for r in rows if r.name.startswith("core_busy") and r.value > 0}
    known = {core for device in machine.report.neuron_ls for core in device.core_ids}
    if not busy or not known:
        return None, f"busy cores {sorted(busy)}, listed cores {len(known)}: one of the tools says nothing"
    return busy == {0}, f"core 0 was asked for; busy in neuron-monitor: {sorted(busy)}; listed: {len(known)}"


def _power_reads(machine: _Machine) -> Answer:
    figures = telemetry.power_figures(telemetry.SYSFS)()
    if not figures:
        return None, f"no valid power line under {telemetry.SYSFS} (it is new each minute; driver 2.31 moved nodes)"
    return all(0 <= value <= 1 for _, _, value in figures), f"{len(figures)} chips report their power"


_CHECKS: tuple[tuple[str, Callable[[_Machine], Answer]], ...] = (
    ("the decode step compiles and loads", _decode_compiles),
    ("64 greedy tokens equal the CPU's", _tokens_agree),
    ("the KV cache stays on the device", _cache_stays),
    ("neuron-ls counts the cores that facts say", _cores_match),
    ("device latency fits our wall clock", _latency_matches),
    ("telemetry's core ids are the runtime's", _ids_match),
    ("sysfs power can be read", _power_reads),
)
