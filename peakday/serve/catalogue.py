"""What is in the folder, newest first, each in a line; read again only where its file has changed."""

from __future__ import annotations

import contextlib
import hashlib
import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from host.atomic import write_text
from host.environment import peakday_version
from host.errors import PeakdayError
from host.files import FileError, read_head
from loadgen.record import read_info
from loadgen.run_info import RUNNING
from peakday.records.folders import KINDS, cache_folder
from peakday.serve.entries import Entry, entry_of
from scenarios.loading import library

RUNNING_WITHIN_S = 15.0
"""A run whose live numbers are older than this has been cut off: the coordinator writes them every second."""
_FILES = {**KINDS, "checks": "check.json"}


@dataclass(frozen=True)
class Place:
    """Where something of the folder is kept. `file`: what says that it changed; empty for the library's scenarios."""

    kind: str
    id: str
    folder: Path
    file: Path


@dataclass
class Catalogue:
    """The folder's content, remembered by the time and size of each file, here and in a file of the cache folder."""

    base: Path
    _known: dict[str, tuple[list[int], Entry]] = field(default_factory=dict)
    _changed: bool = False

    def __post_init__(self) -> None:
        self._known = _remembered(self._memory)

    @property
    def _memory(self) -> Path:
        name = hashlib.sha256(f"{self.base.resolve()} {peakday_version()}".encode()).hexdigest()[:16]
        return cache_folder() / "serve" / f"{name}.json"

    def entries(self, kind: str | None = None) -> list[Entry]:
        """Everything of a kind, or all, newest first; scenarios stand last."""
        found = [self._entry(place) for place in self.places(kind)]
        if self._changed:
            self._changed = False
            text = json.dumps({key: [at, asdict(entry)] for key, (at, entry) in self._known.items()})
            with contextlib.suppress(OSError):  # a home that cannot be written to: all is read again at the next start
                write_text(self._memory, text)
        return sorted(found, key=lambda entry: (entry.kind != "scenarios", entry.id), reverse=True)

    def places(self, kind: str | None = None) -> Iterator[Place]:
        """Where everything of a kind is, in no order."""
        for name, file in _FILES.items():
            if kind in (None, name) and (self.base / name).is_dir():
                for path in (self.base / name).glob(f"*/{file}"):
                    if not path.parent.name.startswith(".") and own_file(path.parent, file):
                        yield Place(name, path.parent.name, path.parent, path)
        if kind in (None, "scenarios"):
            for path in self.base.glob("*.y*ml"):
                if _is_scenario(path):
                    yield Place("scenarios", path.name, self.base, path)
            yield from (Place("scenarios", name, self.base, Path()) for name in library())

    def place(self, kind: str, wanted: str) -> Place | None:
        """The one of this name; None where the folder has none. A name never leads out of the folder."""
        return next((place for place in self.places(kind) if place.id == wanted), None)

    def _entry(self, place: Place) -> Entry:
        key, at = f"{place.kind}/{place.id}", _stamp(place)
        known = self._known.get(key)
        if known is not None and known[0] == at:
            return known[1]
        entry = entry_of(place.kind, place.id, place.folder, going=is_going(place.folder))
        if entry.tone != "going":
            self._known[key] = (at, entry)
            self._changed = True
        return entry


def own_file(folder: Path, name: str) -> Path | None:
    """A file of a record; None where it is absent, or a link out of its folder: records come from anybody."""
    path = folder / name
    try:
        own = path.is_file() and path.resolve().parent == folder.resolve()
    except (OSError, RuntimeError):  # a link to itself
        return None
    return path if own else None


def is_going(folder: Path) -> bool:
    """Whether a run is under way: it is not finished, and its live numbers, or its start, are of the last seconds."""
    for name in ("live.json", "run.json"):
        try:
            fresh = time.time() - (folder / name).stat().st_mtime < RUNNING_WITHIN_S
        except OSError:
            continue
        return fresh and _unfinished(folder)
    return False


def _unfinished(folder: Path) -> bool:
    try:
        return read_info(folder).state == RUNNING
    except PeakdayError:
        return False


def _stamp(place: Place) -> list[int]:
    if place.file == Path():
        return [0, 0]
    try:
        stat = place.file.stat()
    except OSError:
        return [0, 0]
    return [stat.st_mtime_ns, stat.st_size]


def _is_scenario(path: Path) -> bool:
    try:
        head = read_head(path, 4_000)
    except FileError:
        return False
    return b"peakday.scenario/" in head or head.startswith(b"extends:") or b"\nextends:" in head


def _remembered(file: Path) -> dict[str, tuple[list[int], Entry]]:
    """What an earlier start kept; nothing where it cannot be read: all of it can be made again."""
    try:
        raw = json.loads(file.read_text())
        return {key: (list(at), Entry(**entry)) for key, (at, entry) in raw.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}
