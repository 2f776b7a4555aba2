"""One case inside a bench child: build, compile, save, load, step. Imports torch, so only children import this."""

from __future__ import annotations

import platform
import time
import warnings
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from host.atomic import written_aside
from neuron_bench.child.decoder import build_decoder
from neuron_bench.child.encoder import build_encoder
from neuron_bench.models.presets import DecoderShape, Shape, shape_from_json
from neuron_bench.trace.cases import Case

# Tracing is deprecated in torch 2.13 and still the documented way to a Neuron graph: one way for every device.
warnings.filterwarnings("ignore", category=DeprecationWarning, module="torch.jit")

CALIBRATION_SIZE = 256
CALIBRATION_S = 0.005
WARM_AGREE_RATIO = 0.05


class Runner:
    """Holds the loaded graph of one case."""

    def __init__(self, request: dict[str, Any]) -> None:
        self.case = Case(**request["case"])
        self.shape: Shape = shape_from_json(request["shape"])
        self.device: str = request["device"]
        self.torch_device = "cuda" if self.device == "cuda" else "cpu"  # Neuron graphs take and give CPU tensors
        torch.set_num_threads(request["threads"])
        self.compile_s: float | None = None
        path = Path(request["artifact"])
        with torch.inference_mode():
            if not path.exists():
                self.compile_s = _seconds(lambda: self._compile(path, request))
            self.load_s: float | None = None
            if not request.get("build_only"):
                self.load_s = self._make_ready(path, request["seed"])
        self.steps = 0

    def _make_ready(self, path: Path, seed: int) -> float:
        """Load the graph and lay out what every step needs; returns the seconds that loading took."""
        started = time.perf_counter()
        self.graph = self._load(path)
        load_s = time.perf_counter() - started
        self.tokens = self._tokens(seed)
        self.calibration = torch.ones((CALIBRATION_SIZE, CALIBRATION_SIZE), device=self.torch_device)
        return load_s

    def facts(self) -> dict[str, Any]:
        """What a record says of the build."""
        return {
            "compile_s": self.compile_s,
            "load_s": self.load_s,
            "device_mem_bytes": torch.cuda.max_memory_allocated() if self.device == "cuda" else None,
            "versions": versions(),
        }

    def warm(self, request: dict[str, Any]) -> dict[str, Any]:
        """Run windows until the medians of two in a row agree within 5%, or `windows_max` are through."""
        last, count = 0.0, 0
        for _window in range(request["windows_max"]):
            walls, _ = self._timed(seconds=request["turn_s"] / 4, samples=3)
            count += len(walls)
            median = sorted(walls)[len(walls) // 2]
            if last and abs(median / last - 1) <= WARM_AGREE_RATIO:
                return {"n_warmup": count, "settled": True}
            last = median
        return {"n_warmup": count, "settled": False}

    def turn(self, request: dict[str, Any]) -> dict[str, Any]:
        """Time steps for `seconds` and at least `samples`; a fixed matrix product is timed just before."""
        calibration_s = self._calibrate()
        walls, cpus = self._timed(request["seconds"], request["samples"])
        return {"calibration_s": calibration_s, "wall_s": walls, "cpu_s": cpus}

    def greedy(self, request: dict[str, Any]) -> dict[str, Any]:
        """Tokens of `steps` greedy decode steps from an empty cache: what two devices must agree on."""
        token = torch.ones((self.case.batch, 1), dtype=torch.int64, device=self.torch_device)
        found: list[list[int]] = []
        with torch.inference_mode():
            for place in range(request["steps"]):
                logits = self.graph(token, torch.tensor([place], device=self.torch_device))[0]
                token = logits.argmax(-1, keepdim=True)
                found.append(token.flatten().tolist())
        return {"tokens": found}

    def step(self) -> Any:
        """One step of the case: a prefill, a decode step (walking through the end of the cache), or an encode."""
        if self.case.phase == "encode":
            return self.graph(self.tokens, torch.ones_like(self.tokens))
        room = self.case.bucket_tokens - self.case.context_tokens - self.case.input_tokens + 1
        position = self.case.context_tokens + self.steps % room
        self.steps += 1
        return self.graph(self.tokens, torch.tensor([position], device=self.torch_device))

    def _timed(self, seconds: float, samples: int) -> tuple[list[float], list[float]]:
        walls: list[float] = []
        cpus: list[float] = []
        end = time.perf_counter() + seconds
        with torch.inference_mode():
            while len(walls) < samples or time.perf_counter() < end:
                cpu, wall = time.process_time(), time.perf_counter()
                self.step()
                self._wait()
                walls.append(time.perf_counter() - wall)
                cpus.append(time.process_time() - cpu)
        return walls, cpus

    def _calibrate(self) -> float:
        """CPU seconds of one fixed matrix product (on CUDA: seconds), the least of several: this core's speed now."""
        clock = time.perf_counter if self.device == "cuda" else time.process_time
        times: list[float] = []
        end = time.perf_counter() + CALIBRATION_S
        while len(times) < 5 or time.perf_counter() < end:
            started = clock()
            self.calibration @ self.calibration
            self._wait()
            times.append(clock() - started)
        return min(times)

    def _wait(self) -> None:
        if self.device == "cuda":
            torch.cuda.synchronize()

    def _compile(self, path: Path, request: dict[str, Any]) -> None:
        model, inputs, aliases = self._build(request)
        trace = neuron_trace if self.device == "neuron" else plain_trace
        graph = trace(model, inputs, aliases, request)
        with written_aside(path) as aside:
            torch.jit.save(graph, str(aside))

    def _load(self, path: Path) -> Any:
        graph = torch.jit.load(str(path), map_location=None if self.device == "neuron" else self.torch_device)
        if self.device == "neuron":
            import torch_neuronx

            torch_neuronx.move_trace_to_device(graph, 0)
        return graph

    def _build(self, request: dict[str, Any]) -> tuple[torch.nn.Module, tuple[Any, ...], dict[Any, int]]:
        """The module, its example inputs, and which output goes back into which state."""
        seed = request["seed"]
        tokens = self._tokens(seed)
        if not isinstance(self.shape, DecoderShape):
            encoder = build_encoder(self.shape, dtype=self.case.dtype, device=self.torch_device, seed=seed)
            return encoder, (tokens, torch.ones_like(tokens)), {}
        decoder = build_decoder(
            self.shape,
            batch=self.case.batch,
            cache_tokens=self.case.bucket_tokens,
            dtype=self.case.dtype,
            device=self.torch_device,
            seed=seed,
            in_place=self.device != "neuron",
        )
        aliases = {cache: place for place, cache in enumerate(decoder.caches(), start=1)}
        position = torch.tensor([self.case.context_tokens], device=self.torch_device)
        return decoder, (tokens, position), aliases

    def _tokens(self, seed: int) -> torch.Tensor:
        draw = torch.Generator().manual_seed(seed)
        size = (self.case.batch, self.case.input_tokens)
        return torch.randint(0, self.shape.vocab, size, generator=draw).to(self.torch_device)


def plain_trace(
    model: torch.nn.Module, inputs: tuple[Any, ...], aliases: dict[Any, int], request: dict[str, Any]
) -> Any:
    """A TorchScript graph for CPU and CUDA; caches are written in place, so nothing is aliased."""
    return torch.jit.trace(model, inputs, check_trace=False)


def neuron_trace(
    model: torch.nn.Module, inputs: tuple[Any, ...], aliases: dict[Any, int], request: dict[str, Any]
) -> Any:
    """A Neuron graph whose caches stay on the device. Source: torch_neuronx.trace API page, SDK 2.28.

    With a `compile_target` it is compiled on the CPU for that family, on a machine that has no chip.
    """
    import torch_neuronx

    args = request.get("compiler_args")
    if request.get("compile_target") is None:
        return torch_neuronx.trace(model, inputs, input_output_aliases=aliases, compiler_args=args)
    args = f"--target {request['compile_target']} {args or ''}".strip()
    return torch_neuronx.trace(model, inputs, input_output_aliases=aliases, compiler_args=args, cpu_backend=True)


def versions() -> dict[str, str]:
    """What ran: Python, torch, and Neuron's parts where they are installed."""
    found = {"python": platform.python_version(), "torch": torch.__version__}
    for name in ("torch-neuronx", "neuronx-cc", "torch-xla"):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


OPERATIONS: dict[str, Callable[[Runner, dict[str, Any]], dict[str, Any]]] = {
    "warm": Runner.warm,
    "turn": Runner.turn,
    "greedy": Runner.greedy,
}


def _seconds(work: Callable[[], None]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started
