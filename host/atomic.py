"""Files and folders that are there whole or not at all, for their owner alone: written aside, then renamed."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def written_aside(path: Path) -> Iterator[Path]:
    """A file beside `path` to write to; it takes the name when the block ends well, and is removed when it does not.

    Its name is unpredictable and nobody else's: a link that was planted under a guessed name is never followed.

    Raises:
        OSError: the folder cannot be made or written to; the error names `path`.
    """
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    aside = _aside(path)
    with _named(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(aside, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    try:
        yield aside
        with _named(path):
            os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)


@contextlib.contextmanager
def folder_aside(path: Path) -> Iterator[Path]:
    """An empty folder beside `path` to fill; it takes the name when the block ends well.

    Raises:
        FileExistsError: `path` is a folder that holds something already.
        OSError: the folder cannot be made; the error names `path`.
    """
    aside = _aside(path)
    with _named(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        aside.mkdir(mode=0o700)
    try:
        yield aside
        try:
            os.replace(aside, path)
        except OSError:
            raise FileExistsError(f"{path}: is there already") from None
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file whole."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file whole."""
    with written_aside(path) as aside:
        aside.write_bytes(data)


def _aside(path: Path) -> Path:
    return path.with_name(f".{path.name}.{secrets.token_hex(6)}.part")


@contextlib.contextmanager
def _named(path: Path) -> Iterator[None]:
    """An error of the system names the file that was asked for, not the one beside it."""
    try:
        yield
    except OSError as error:
        raise type(error)(error.errno, error.strerror, str(path)) from None
