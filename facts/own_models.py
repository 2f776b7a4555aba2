"""The user's own models, laid over the package's for as long as a command runs."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from pathlib import Path

OWN_MODELS: ContextVar[Path | None] = ContextVar("OWN_MODELS", default=None)
"""The file that `facts.reader.models` reads where none is named; None: the package's alone."""


@contextlib.contextmanager
def own_models(path: Path | None) -> Iterator[None]:
    """Have every reader of models know those of a file too; None changes nothing."""
    if path is None:
        yield
        return
    token = OWN_MODELS.set(path)
    try:
        yield
    finally:
        OWN_MODELS.reset(token)
