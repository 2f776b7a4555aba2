"""A fake of native TorchNeuron, for contract tests only. Nothing it does says anything about a chip.

It holds callers to the documented interface (TorchNeuron pages, SDK 2.33): a device `neuron` that PyTorch loads by
itself, `torch.compile(model, backend="neuron")`, and `torch.neuron.synchronize()`. Tensors asked for on the device are
made on the CPU; every documented call is written to $FAKE_NEURONX_LOG as a JSON line. There is no `.trace`.
"""

import json
import os
import pathlib
import sys
import types


def _autoload():
    """PyTorch calls this at import: the entry point of a device backend."""


import torch  # noqa: E402
from torch.overrides import TorchFunctionMode  # noqa: E402


def _log(call, **facts):
    environment = {name: value for name, value in os.environ.items() if name.startswith("NEURON_")}
    with pathlib.Path(os.environ["FAKE_NEURONX_LOG"]).open("a") as log:
        log.write(json.dumps({"call": call, "environment": environment, **facts}) + "\n")


def _is_neuron(value):
    return value == "neuron" or (isinstance(value, torch.device) and value.type == "neuron")


class _OnCpu(TorchFunctionMode):
    """Puts on the CPU what is asked for on the device, and writes down that it was."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if any(map(_is_neuron, (*args, *kwargs.values()))):
            _log("place", name=getattr(func, "__name__", str(func)))
        args = tuple("cpu" if _is_neuron(value) else value for value in args)
        kwargs = {name: "cpu" if _is_neuron(value) else value for name, value in kwargs.items()}
        return func(*args, **kwargs)


def _compile(model, *, backend=None, dynamic=None, **other):
    if backend != "neuron" or other:
        raise ValueError("documented: torch.compile(model, backend='neuron', dynamic=False)")
    _log("compile", dynamic=dynamic)
    return model


def _install():
    torch.utils.rename_privateuse1_backend("neuron")
    module = types.ModuleType("torch.neuron")
    module.synchronize = lambda: _log("synchronize")
    module.is_available = lambda: True
    module.device_count = lambda: 1
    torch.neuron = sys.modules["torch.neuron"] = module
    torch.compile = _compile
    _OnCpu().__enter__()


_install()
