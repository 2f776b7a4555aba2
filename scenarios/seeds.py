"""One seed, many independent random streams, each found by its name. numpy and stdlib only."""

from __future__ import annotations

import zlib

import numpy as np


def random_stream(seed: int, *names: str | int) -> np.random.Generator:
    """The generator of a named stream: the same names give the same numbers, whatever else is drawn."""
    words = [name if isinstance(name, int) else zlib.crc32(name.encode()) for name in names]
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, *words])))
