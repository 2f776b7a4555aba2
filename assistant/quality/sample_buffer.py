"""Sampled turns, one JSON line each: what was asked, what was answered, by which model. Nothing is scored here."""

from __future__ import annotations

from dataclasses import asdict, astuple, dataclass
from pathlib import Path
from zlib import crc32

import orjson

from assistant.errors import AssistantError
from host.files import lines_of, open_text


@dataclass(frozen=True, slots=True)
class SampledTurn:
    """One finished turn. `context`: what the model was given beside the message, such as tool results, as text."""

    trace_id: str
    model: str
    intent: str
    complexity: str
    message: str
    context: str
    answer: str


def is_sampled(interaction_id: str, turn_index: int, ratio: float) -> bool:
    """Whether a turn belongs to the sample: by a hash of its key, so that the same turns are scored in every run."""
    return crc32(f"{interaction_id}:{turn_index}".encode()) < ratio * 2**32


class SampleBuffer:
    """Appends sampled turns to a file; a line is written whole or not at all."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def add(self, turn: SampledTurn) -> None:
        """Append one turn."""
        with self._path.open("ab", buffering=0) as file:
            file.write(orjson.dumps(asdict(turn)) + b"\n")


def read_samples(path: Path) -> list[SampledTurn]:
    """Every whole line; a last line that was cut off is left out.

    Raises:
        AssistantError: a line that is no sampled turn.
    """
    if not path.exists():
        return []
    with open_text(path, error=AssistantError) as stream:
        lines = enumerate(lines_of(stream, path, error=AssistantError), 1)
        return [_turn(line, f"{path}:{number}") for number, line in lines if line.endswith("\n")]


def _turn(line: str, where: str) -> SampledTurn:
    try:
        turn = SampledTurn(**orjson.loads(line))
    except (TypeError, ValueError) as error:
        raise AssistantError(f"{where}: no sampled turn ({error})") from None
    if not all(isinstance(value, str) for value in astuple(turn)):
        raise AssistantError(f"{where}: no sampled turn: a field that is no text")
    return turn
