"""A user's config.json: its keys as numbers and switches, checked as they are taken."""

from __future__ import annotations

import math
from collections.abc import Mapping

from neuron_bench.errors import BenchUsageError

ACTIVATIONS = {
    "silu": "silu",
    "swish": "silu",
    "gelu": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_fast": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "relu": "relu",
}
"""The names of transformers, and what each computes."""


class Config:
    """A config.json with the keys that were read; numbers are checked as they are taken."""

    def __init__(self, raw: Mapping[str, object], where: str) -> None:
        self.raw, self.where = raw, where
        self.used: set[str] = set()

    def get(self, key: str, default: object = None) -> object:
        """A key's value; null is as absent."""
        self.used.add(key)
        value = self.raw.get(key)
        return default if value is None else value

    def flag(self, key: str, default: bool = False) -> bool:
        """A switch."""
        value = self.get(key, default)
        if not isinstance(value, bool):
            raise self.refuse(f"{key} is {value!r}, expected true or false")
        return value

    def whole(self, *keys: str, default: int | None = None, least: int = 1) -> int:
        """The first of these keys that is there, as a whole number of at least `least`."""
        for key in keys:
            value = self.get(key)
            if value is None:
                continue
            if type(value) is not int or value < least:
                raise self.refuse(f"{key} is {value!r}, expected a whole number >= {least}")
            return int(value)
        if default is None:
            raise self.refuse(f"{' or '.join(keys)} is missing")
        return default

    def number(self, key: str, default: float | None) -> float | None:
        """A positive number."""
        value = self.get(key)
        if value is None:
            return default
        if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value < math.inf:
            raise self.refuse(f"{key} is {value!r}, expected a number > 0")
        return float(value)

    def part(self, value: object, key: str) -> Config:
        """What stands at a key as a config of its own; empty where it is no object."""
        return Config(value if isinstance(value, dict) else {}, f"{self.where}: {key}")

    def activation(self, *keys: str, default: str) -> tuple[str, tuple[str, ...]]:
        """What the first of these keys that is there computes; and its name, where our graph does not hold it."""
        name = str(next((value for key in keys if (value := self.get(key)) is not None), default))
        return ACTIVATIONS.get(name, name), () if name in ACTIVATIONS else (f"activation {name}",)

    def refuse(self, reason: str) -> BenchUsageError:
        """The error that names the file."""
        return BenchUsageError(f"{self.where}: {reason}")
