"""Where records live and what they are called: `runs/ID`, `plans/ID`, `benches/ID` under the working directory.

An ID begins with its UTC time, so that names sort by age. `latest` stands for the newest record, `latest~1` for the one
before it of the same kind.
"""

from __future__ import annotations

import contextlib
import os
import re
from datetime import datetime
from pathlib import Path

from peakday.errors import CommandError

KINDS = {"runs": "run.json", "plans": "plan.json", "benches": "bench.json"}
_LATEST = r"latest(?:~(\d+))?"
_MADE_BY = {"runs": "peakday run", "plans": "peakday plan", "benches": "peakday bench run"}


def new_folder(kind: str, name: str, now_utc: datetime, base: Path | None = None) -> Path:
    """An unused path for a record; it is not created.

    Args:
        kind: `runs`, `plans` or `benches`.
        name: what the record is of, such as the scenario's name.
        base: folder that holds `kind`; the working directory by default.
    """
    stem = f"{now_utc:%Y%m%d-%H%M%S}-{re.sub(r'[^a-z0-9_]+', '-', name.lower())}"
    parent = (base or Path()) / kind
    taken = [path.name for path in parent.glob(f"{stem}*")] if parent.is_dir() else []
    return parent / (f"{stem}-{len(taken) + 1}" if taken else stem)


def records(kind: str, base: Path | None = None) -> list[Path]:
    """Complete folders of a kind, newest first."""
    parent = (base or Path()) / kind
    paths = [path.parent for path in parent.glob(f"*/{KINDS[kind]}")] if parent.is_dir() else []
    return sorted((path for path in paths if not path.name.startswith(".")), key=lambda path: path.name, reverse=True)


def find_record(kind: str, wanted: str, base: Path | None = None) -> Path:
    """The folder of a record from its path, its ID, or `latest`, `latest~N`.

    Raises:
        CommandError: none is there; the message names the command that makes one.
    """
    match = re.fullmatch(_LATEST, wanted)
    if match:
        newest_first = records(kind, base)
        back = int(match[1] or 0)
        if back >= len(newest_first):
            raise CommandError(
                f"{kind}/: {wanted} asks for {back + 1} records, there are {len(newest_first)}; {_hint(kind)}"
            )
        return newest_first[back]
    for path in (Path(wanted), (base or Path()) / kind / wanted):
        if (path / KINDS[kind]).is_file():
            return path
    raise CommandError(f"{wanted}: neither a record's folder nor an ID in {kind}/; {_hint(kind)}")


def find_any(wanted: str, base: Path | None = None) -> tuple[str, Path]:
    """Kind and folder of a record of any kind; `latest` is the newest of all, `latest~1` the one before of its kind."""
    if re.fullmatch(_LATEST, wanted):
        kind = _kinds_by_age(base)[0]
        return kind, find_record(kind, wanted, base)
    for kind in KINDS:
        try:
            return kind, find_record(kind, wanted, base)
        except CommandError:
            continue
    raise CommandError(f"{wanted}: no run, plan or bench of that name here; {_hint('runs')}")


def find_pair(before: str, after: str, base: Path | None = None) -> tuple[tuple[str, Path], tuple[str, Path]]:
    """Kind and folder of two records to compare.

    A `latest` takes the kind of the other; of two, the newest kind that has both.
    """
    relative_names = [bool(re.fullmatch(_LATEST, name)) for name in (before, after)]
    if all(relative_names):
        for kind in _kinds_by_age(base):
            with contextlib.suppress(CommandError):
                return (kind, find_record(kind, before, base)), (kind, find_record(kind, after, base))
    elif any(relative_names):
        kind = find_any(after if relative_names[0] else before, base)[0]
        return (kind, find_record(kind, before, base)), (kind, find_record(kind, after, base))
    return find_any(before, base), find_any(after, base)


def _kinds_by_age(base: Path | None) -> list[str]:
    """Kinds that have a record here, that of the newest first."""
    newest = sorted(((found[0].name, kind) for kind in KINDS if (found := records(kind, base))), reverse=True)
    if not newest:
        raise CommandError(f"latest: there is no record here; {_hint('runs')}")
    return [kind for _, kind in newest]


def _hint(kind: str) -> str:
    return f"`{_MADE_BY[kind]}` makes one"


def relative(path: Path) -> Path:
    """The path as seen from the working directory, where it lies below it."""
    path = Path(path)
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def cache_folder() -> Path:
    """Where what can be made again is kept: $XDG_CACHE_HOME/peakday, else ~/.cache/peakday."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "peakday"
