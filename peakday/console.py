"""What a command says: results on stdout, console on stderr, JSON when asked."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Console:
    """Where results and remarks of this command go."""

    as_json: bool = False
    quiet: bool = False

    def say(self, line: str) -> None:
        """Progress and remarks, for people: stderr, and nothing with --quiet."""
        if not self.quiet:
            print(line, file=sys.stderr, flush=True)

    def result(self, text: str, data: Mapping[str, Any] | Sequence[Any]) -> None:
        """The answer: text, or data as one JSON document with --json."""
        if self.as_json:
            print(json.dumps(data, allow_nan=False, default=str), flush=True)
        elif text:
            print(text, flush=True)
