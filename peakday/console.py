"""What a command says: results on stdout, console on stderr, JSON when asked."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Console:
    """Where results and remarks of this command go."""

    as_json: bool = False
    quiet: bool = False

    def say(self, line: str) -> None:
        """Progress and remarks, for people: stderr, and nothing with --quiet."""
        if not self.quiet:
            print(line, file=sys.stderr, flush=True)

    def result(self, text: str, data: Mapping[str, object] | Sequence[object]) -> None:
        """The answer: text, or data as one JSON document with --json."""
        if self.as_json:
            print(json.dumps(_finite(data), allow_nan=False, default=str), flush=True)
        elif text:
            print(text, flush=True)


def _finite(data: object) -> object:
    """The same with null for a number that is none (0 of 0 rows) or is infinite: JSON knows neither."""
    if isinstance(data, Mapping):
        return {key: _finite(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [_finite(value) for value in data]
    return None if isinstance(data, float) and not math.isfinite(data) else data
