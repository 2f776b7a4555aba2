"""Exit codes of the command, and the one place that turns an exception into a line and a code."""

from __future__ import annotations

import enum
import os


class Exit(enum.IntEnum):
    """What the shell sees. A run that misses an SLO exits 0: only `check` gates."""

    OK = 0
    GATE_FAILED = 1
    USAGE = 2
    INVALID_RUN = 3
    INCONCLUSIVE = 4
    ENVIRONMENT = 5
    ABORTED = 6
    INTERRUPTED = 130


class CommandError(Exception):
    """Stops the command with one line on stderr and this exit code."""

    def __init__(self, message: str, code: Exit = Exit.USAGE) -> None:
        super().__init__(message)
        self.code = code


# Exceptions of the packages, by module and name, so that none of them is imported to be recognised.
_CODES: dict[str, Exit] = {
    "scenarios": Exit.USAGE,
    "facts": Exit.USAGE,
    "loadgen": Exit.USAGE,
    "neuron_bench": Exit.USAGE,
    "assistant": Exit.ENVIRONMENT,
    "capacity": Exit.INCONCLUSIVE,
    "dashboards": Exit.USAGE,
}


def explain(error: BaseException) -> tuple[str, Exit] | None:
    """One line and an exit code for an expected error; None for a bug, which keeps its traceback."""
    if isinstance(error, CommandError):
        return str(error), error.code
    package = type(error).__module__.split(".")[0]
    if package in _CODES:
        code = getattr(error, "exit_code", None)
        return _one_line(error), Exit(code) if code is not None else _CODES[package]
    if isinstance(error, FileNotFoundError | PermissionError | IsADirectoryError | NotADirectoryError):
        return f"{error.filename}: {os.strerror(error.errno or 0)}", Exit.USAGE
    return None


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())
