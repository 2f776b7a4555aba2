"""What can go wrong in a bench, each with the exit code the command gives it. A message is one line with its remedy."""

from __future__ import annotations

from host.errors import Exit, PeakdayError


class BenchError(PeakdayError, ValueError):
    """Base of this package's errors."""

    page = "bench-record"


class BenchUsageError(BenchError):
    """A bench that was asked for wrongly: model, matrix, suite or file."""


class DeviceError(BenchError):
    """The device asked for is not here, or not able to run. There is never a silent fall-back."""

    exit_code = Exit.ENVIRONMENT
