"""The command's own error, and the one place that turns an exception into a line and a code."""

from __future__ import annotations

import os

from host.errors import Exit, PeakdayError


class CommandError(PeakdayError):
    """Stops the command with one line on stderr and its exit code."""


def explain(error: BaseException) -> tuple[str, Exit] | None:
    """One line and an exit code for an expected error; None for a bug, which keeps its traceback."""
    if isinstance(error, PeakdayError):
        return " ".join(str(error).split()), error.exit_code
    if isinstance(error, FileNotFoundError | PermissionError | IsADirectoryError | NotADirectoryError):
        return f"{error.filename}: {os.strerror(error.errno or 0)}", Exit.USAGE
    return None
