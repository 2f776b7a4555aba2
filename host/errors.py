"""Errors that are expected: one clear line and an exit code. Anything else is a bug and keeps its traceback."""

from __future__ import annotations

import enum


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


class PeakdayError(Exception):
    """What a user can cause and fix: its text, one line, says what is wrong, where, and how to fix it.

    Every expected error of every package derives from it. `exit_code` is the class's own, or the one given.
    `page`: of the documentation, which says more (`host.documentation.page_of`).
    """

    exit_code: Exit = Exit.USAGE
    page: str = "commands#exit-codes"

    def __init__(self, message: str = "", exit_code: Exit | None = None) -> None:
        super().__init__(" ".join(message.split()) if "\n" in message else message)
        if exit_code is not None:
            self.exit_code = exit_code
