"""One case inside a bench child: build, compile, save, load, step. Imports torch, so only children import this."""

from __future__ import annotations

import platform
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from pathlib import Path

import torch

from host.atomic import written_aside
from neuron_bench.child.decoder import Decoder, build_decoder
from neuron_bench.child.encoder import build_encoder
from neuron_bench.models.presets import require_buildable
from neuron_bench.models.shapes import DecoderShape
from neuron_bench.trace.messages import Greedy, Loaded, LoadRequest, Turn, Warmed

# Tracing is deprecated in torch 2.13 and still the documented way to a Neuron graph: one way for every device.
warnings.filterwarnings("ignore", category=DeprecationWarning, module="torch.jit")

CALIBRATION_SIZE = 256
CALIBRATION_S = 0.005
WARM_AGREE_RATIO = 0.05


class Runner:
    """Holds the loaded graph of one case."""

    def __init__(self, request: LoadRequest) -> None:
        self.request, self.case, self.shape, self.device = request, request.case, request.shape, request.device
        # Traced Neuron graphs take and give CPU tensors; native TorchNeuron is a device like CUDA.
        self.torch_device = "cuda" if self.device == "cuda" else "neuron" if request.native else "cpu"
        torch.set_num_threads(request.threads)
        self.compile_s: float | None = None
        self.load_s: float | None = None
        path = Path(request.artifact)
        self.steps = 0
        with torch.inference_mode():
            if request.native:
                self._make_native()
                return
            if not path.exists():
                self.compile_s = _seconds(lambda: self._compile(path))
            if not request.build_only:
                self.load_s = self._make_ready(path)

    def _make_native(self) -> None:
        """TorchNeuron: weights go to the device, the first step compiles. Source: torch/compile pages, SDK 2.33."""
        started = time.perf_counter()
        model, _, _ = self._build()
        self.graph = torch.compile(model, backend="neuron", dynamic=False)
        self._lay_out()
        self._wait()
        self.load_s = time.perf_counter() - started
        self.compile_s = _seconds(self._first_step)

    def _first_step(self) -> None:
        self.step()
        self._wait()

    def _make_ready(self, path: Path) -> float:
        """Load the graph and lay out what every step needs; returns the seconds that loading took."""
        started = time.perf_counter()
        self.graph = self._load(path)
        load_s = time.perf_counter() - started
        self._lay_out()
        return load_s

    def _lay_out(self) -> None:
        self.tokens = self._tokens()
        self.calibration = torch.ones((CALIBRATION_SIZE, CALIBRATION_SIZE), device=self.torch_device)

    def loaded(self) -> Loaded:
        """What a record says of the build."""
        memory = torch.cuda.max_memory_allocated() if self.device == "cuda" else None
        return Loaded(self.compile_s, self.load_s, memory, versions())

    def warm(self, turn_s: float, windows_max: int) -> Warmed:
        """Run windows until the medians of two in a row agree within 5%, or `windows_max` are through.

        A step that fills a window by itself is a window: slow cases are not warmed for an hour.
        """
        last, count = 0.0, 0
        for _window in range(windows_max):
            slow = last > turn_s / 4
            walls, _ = self._timed(seconds=turn_s / 4, samples=1 if slow or not last else 3)
            count += len(walls)
            median = sorted(walls)[len(walls) // 2]
            if last and abs(median / last - 1) <= WARM_AGREE_RATIO:
                return Warmed(count, True, median)
            last = median
        return Warmed(count, False, last)

    def turn(self, seconds: float, samples: int) -> Turn:
        """Time steps for `seconds` and at least `samples`; a fixed matrix product is timed just before."""
        calibration_s = self._calibrate()
        walls, cpus = self._timed(seconds, samples)
        return Turn(calibration_s, tuple(walls), tuple(cpus))

    def greedy(self, steps: int) -> Greedy:
        """Tokens of `steps` greedy decode steps from an empty cache: what two devices must agree on."""
        token = torch.ones((self.case.batch, 1), dtype=torch.int64, device=self.torch_device)
        chosen: list[tuple[int, ...]] = []
        with torch.inference_mode():
            for place in range(steps):
                logits = self.graph(token, torch.tensor([place], device=self.torch_device))[0]
                token = logits.argmax(-1, keepdim=True)
                chosen.append(tuple(token.flatten().tolist()))
        return Greedy(tuple(chosen))

    def step(self) -> Sequence[torch.Tensor]:
        """One step of the case: a prefill, a decode step (walking through the end of the cache), or an encode."""
        if self.case.phase == "encode":
            encoded: Sequence[torch.Tensor] = self.graph(self.tokens, torch.ones_like(self.tokens))
            return encoded
        room = self.case.bucket_tokens - self.case.context_tokens - self.case.input_tokens + 1
        position = self.case.context_tokens + self.steps % room
        self.steps += 1
        logits: Sequence[torch.Tensor] = self.graph(self.tokens, torch.tensor([position], device=self.torch_device))
        return logits

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
        """CPU seconds of one fixed matrix product (on a device: seconds), the least of several: its speed now."""
        clock = time.process_time if self.torch_device == "cpu" else time.perf_counter
        times: list[float] = []
        end = time.perf_counter() + CALIBRATION_S
        while len(times) < 5 or time.perf_counter() < end:
            started = clock()
            self.calibration @ self.calibration
            self._wait()
            times.append(clock() - started)
        return min(times)

    def _wait(self) -> None:
        if self.torch_device == "cuda":
            torch.cuda.synchronize()
        elif self.torch_device == "neuron":
            torch.neuron.synchronize()

    def _compile(self, path: Path) -> None:
        model, inputs, aliases = self._build()
        if self.device == "neuron":
            graph = neuron_trace(model, inputs, aliases, self.request)
        else:
            graph = plain_trace(model, inputs)
            self._keep_weights(model)
            without_weights(graph, model)
        with written_aside(path) as aside:
            torch.jit.save(graph, str(aside))

    def _keep_weights(self, model: torch.nn.Module) -> None:
        """The weights in a file of their own, which all buckets of a model, dtype and seed share."""
        path = Path(self.request.weights)
        if not path.exists():
            with written_aside(path) as aside:
                torch.save(shared_weights(model), str(aside))

    def _load(self, path: Path) -> torch.jit.ScriptModule:
        if self.device == "neuron":
            import torch_neuronx  # only where the device is: the package is AWS's own

            graph = torch.jit.load(str(path))
            torch_neuronx.move_trace_to_device(graph, 0)
            return graph
        graph = torch.jit.load(str(path), map_location=self.torch_device)
        if not Path(self.request.weights).exists():
            self._keep_weights(self._build()[0])
        weights = torch.load(self.request.weights, map_location=self.torch_device, weights_only=True)
        for name, tensor in graph.state_dict(keep_vars=True).items():
            if name in weights:
                tensor.data = weights[name]
            elif _is_cache(name):
                tensor.data = torch.zeros(tensor.shape, dtype=tensor.dtype, device=self.torch_device)
        return graph

    def _build(self) -> tuple[torch.nn.Module, tuple[torch.Tensor, ...], dict[torch.Tensor, int]]:
        """The module, its example inputs, and which output goes back into which state."""
        tokens, seed = self._tokens(), self.request.seed
        require_buildable(self.shape)
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
            in_place=self.device != "neuron" or self.request.native,
        )
        aliases = {cache: place for place, cache in enumerate(decoder.caches(), start=1)}
        position = torch.tensor([self.case.context_tokens], device=self.torch_device)
        return decoder, (tokens, position), aliases

    def _tokens(self) -> torch.Tensor:
        draw = torch.Generator().manual_seed(self.request.seed)
        size = (self.case.batch, self.case.input_tokens)
        return torch.randint(0, self.shape.vocab, size, generator=draw).to(self.torch_device)


def shared_weights(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """By name: what does not depend on batch or cache length."""
    caches = {id(cache) for cache in model.caches()} if isinstance(model, Decoder) else set()
    named = model.state_dict(keep_vars=True).items()
    return {name: tensor.detach() for name, tensor in named if id(tensor) not in caches}


def without_weights(graph: torch.jit.ScriptModule, model: torch.nn.Module) -> None:
    """Empty the graph's weights, and keep of its caches the shape alone (one zero, expanded)."""
    weights = shared_weights(model)
    for name, tensor in graph.state_dict(keep_vars=True).items():
        if name in weights:
            tensor.data = torch.empty(0, dtype=tensor.dtype)
        elif _is_cache(name):
            tensor.data = torch.zeros(1, dtype=tensor.dtype).expand(tensor.shape)


def _is_cache(name: str) -> bool:
    """Whether a parameter of a decoder is a layer's keys or values."""
    return name.startswith("layers.") and name.endswith((".keys", ".values"))


def plain_trace(model: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> torch.jit.ScriptModule:
    """A TorchScript graph for CPU and CUDA; caches are written in place, so nothing is aliased."""
    return torch.jit.trace(model, inputs, check_trace=False)


def neuron_trace(
    model: torch.nn.Module, inputs: tuple[torch.Tensor, ...], aliases: Mapping[torch.Tensor, int], request: LoadRequest
) -> torch.jit.ScriptModule:
    """A Neuron graph whose caches stay on the device. Source: torch_neuronx.trace API page, SDK 2.28.

    With a `compile_target` it is compiled on the CPU for that family, on a machine that has no chip.
    """
    import torch_neuronx  # only where the device is: the package is AWS's own

    args = request.compiler_args
    if request.compile_target is None:
        return torch_neuronx.trace(model, inputs, input_output_aliases=aliases, compiler_args=args)
    args = f"--target {request.compile_target} {args or ''}".strip()
    return torch_neuronx.trace(model, inputs, input_output_aliases=aliases, compiler_args=args, cpu_backend=True)


def versions() -> dict[str, str]:
    """What ran: Python, torch, and Neuron's parts where they are installed."""
    installed = {"python": platform.python_version(), "torch": torch.__version__}
    for name in ("torch-neuronx", "neuronx-cc", "torch-xla"):
        try:
            installed[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return installed


def _seconds(work: Callable[[], None]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started
