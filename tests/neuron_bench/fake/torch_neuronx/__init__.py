"""A stand-in for torch_neuronx, for contract tests only. Nothing it does says anything about a chip.

It holds callers to the documented API (the tracing page of SDK 2.28): the keyword set, example inputs as tensors, state
tensors that are parameters, outputs that exist; then it traces with torch.jit and keeps states in the graph. Every call
is written to $FAKE_NEURONX_LOG as a JSON line. Its version says schema.example, so records made with it are marked.
"""

import json
import os
import pathlib

import torch


def _log(call, **facts):
    environment = {name: value for name, value in os.environ.items() if name.startswith("NEURON_")}
    line = json.dumps({"call": call, "pid": os.getpid(), "environment": environment, **facts})
    with pathlib.Path(os.environ["FAKE_NEURONX_LOG"]).open("a") as log:
        log.write(line + "\n")


class _Stateful(torch.nn.Module):
    """Runs the function and puts aliased outputs back into their states; returns the others."""

    def __init__(self, func, aliases):
        super().__init__()
        self.func = func
        self.places = list(aliases.values())
        self.states = torch.nn.ParameterList(aliases.keys())

    def forward(self, *inputs):
        outputs = self.func(*inputs)
        if not self.places:
            return outputs
        for state, place in zip(self.states, self.places, strict=True):
            state.copy_(outputs[place])
        return tuple(out for place, out in enumerate(outputs) if place not in self.places)


def trace(
    func,
    example_inputs,
    *_,
    input_output_aliases={},  # noqa: B006 (the documented signature)
    compiler_workdir=None,
    compiler_args=None,
    partitioner_config=None,
    inline_weights_to_neff=True,
    cpu_backend=False,
):
    """Documented signature; raises TypeError or ValueError where the real one would misbehave."""
    if _:
        raise TypeError("keyword arguments must be passed by keyword")
    inputs = example_inputs if isinstance(example_inputs, tuple) else (example_inputs,)
    if not all(isinstance(tensor, torch.Tensor) and tensor.device.type == "cpu" for tensor in inputs):
        raise TypeError("example_inputs must be CPU tensors")
    if isinstance(func, torch.nn.Module):
        if func.training:
            raise ValueError("the module is in training mode")
        parameters = {id(parameter) for parameter in func.parameters()}
        if not all(id(state) in parameters for state in input_output_aliases):
            raise ValueError("a state tensor is not a parameter of the module")
    with torch.inference_mode():
        outputs = func(*inputs)
    for state, place in input_output_aliases.items():
        if not outputs[place].shape == state.shape or outputs[place].dtype != state.dtype:
            raise ValueError(f"output {place} does not fit the state it is aliased to")
        if outputs[place].data_ptr() == state.data_ptr():
            raise ValueError(f"output {place} is its state: the function writes in place")
    if compiler_args is not None and not isinstance(compiler_args, str | list):
        raise TypeError("compiler_args is a string or a list of strings")
    if cpu_backend and "--target" not in (compiler_args or ""):
        raise ValueError("cpu_backend needs --target in compiler_args")
    facts = {"compiler_args": compiler_args, "cpu_backend": cpu_backend}
    _log("trace", aliases=len(input_output_aliases), outputs=len(outputs), **facts)
    with torch.inference_mode():
        return torch.jit.trace(_Stateful(func, input_output_aliases), inputs, check_trace=False)


def move_trace_to_device(trace, device_id):
    """Documented: in place, a core index of this process."""
    if not isinstance(trace, torch.jit.ScriptModule) or device_id != 0:
        raise TypeError("expected a traced module and core 0 of those visible")
    _log("move_trace_to_device", device_id=device_id)
