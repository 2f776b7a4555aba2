"""The command's own error, and the one place that turns an exception into a line and a code."""

from __future__ import annotations

import errno
import os

from host.errors import Exit, PeakdayError


class CommandError(PeakdayError):
    """Stops the command with one line on stderr and its exit code."""


_OF_THE_MACHINE = {
    errno.ENOSPC: "free some, or write elsewhere with --out; what was written before stays",
    errno.EDQUOT: "free some, or write elsewhere with --out; what was written before stays",
    errno.EROFS: "write elsewhere with --out",
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
    errno.ENFILE: "close other programs: the whole machine is out of open files",
    errno.ENOMEM: "close other programs, or ask for less",
}
"""What no command can fix, and what its user can do."""


def explain(error: BaseException) -> tuple[str, Exit] | None:
    """One line and an exit code for an expected error; None for a bug, which keeps its traceback."""
    if isinstance(error, PeakdayError):
        return " ".join(str(error).split()), error.exit_code
    if isinstance(error, FileNotFoundError | PermissionError | IsADirectoryError | NotADirectoryError):
        return f"{error.filename}: {os.strerror(error.errno or 0)}", Exit.USAGE
    if isinstance(error, OSError) and error.errno in _OF_THE_MACHINE:
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{os.strerror(error.errno).lower()}; {_OF_THE_MACHINE[error.errno]}", Exit.ENVIRONMENT
    return None
