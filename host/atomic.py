"""Files and folders that are there whole or not at all: written aside, then renamed."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def written_aside(path: Path) -> Iterator[Path]:
    """A file beside `path` to write to; it takes the name when the block ends well, and is removed when it does not.

    Its name is unpredictable and nobody else's: a link that was planted under a guessed name is never followed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    os.close(descriptor)
    aside = Path(name)
    try:
        aside.chmod(0o666 & ~_umask())
        yield aside
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)


@contextlib.contextmanager
def folder_aside(path: Path) -> Iterator[Path]:
    """An empty folder beside `path` to fill; it takes the name when the block ends well.

    Raises:
        FileExistsError: `path` is a folder that holds something already.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent))
    try:
        aside.chmod(0o777 & ~_umask())
        yield aside
        try:
            os.replace(aside, path)
        except OSError:
            raise FileExistsError(f"{path}: is there already") from None
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file whole."""
    with written_aside(path) as aside:
        aside.write_text(text, encoding="utf-8")


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file whole."""
    with written_aside(path) as aside:
        aside.write_bytes(data)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
