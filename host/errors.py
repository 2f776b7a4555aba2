"""Errors that are expected: one clear line and an exit code. Anything else is a bug and keeps its traceback."""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

E = TypeVar("E", bound="PeakdayError")


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
    problems: tuple[str, ...] = ()
    """All that is wrong, where it is more than one thing: the text names the first, notes the others."""

    def __init__(self, message: str = "", exit_code: Exit | None = None) -> None:
        super().__init__(" ".join(message.split()) if "\n" in message else message)
        if exit_code is not None:
            self.exit_code = exit_code


def refusal(kind: type[E], problems: Sequence[str]) -> E:
    """One error for all of some problems, of which there is one at least."""
    first, *others = problems
    error = kind(first + (f" (and {len(others)} more)" if others else ""))
    error.problems = tuple(problems)
    for problem in others:
        error.add_note(problem)
    return error


def together(*reads: Callable[[], Any]) -> list[Any]:
    """What each of them gives.

    Raises:
        PeakdayError: of the first that failed, with the problems of all that did.
    """
    given, refused = [], []
    for read in reads:
        try:
            given.append(read())
        except PeakdayError as error:
            refused.append(error)
    if len(refused) == 1:
        raise refused[0]
    if refused:
        problems = [problem for error in refused for problem in error.problems or (str(error),)]
        whole = refusal(type(refused[0]), problems)
        whole.exit_code = refused[0].exit_code
        raise whole
    return given
