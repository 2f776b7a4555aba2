"""The package's one exception."""

from host.errors import PeakdayError


class ScenarioError(PeakdayError, ValueError):
    """A scenario, trace or setting that cannot be used: file, key, value and fix, always on one line."""

    page = "scenarios"

    def __init__(self, message: str) -> None:
        line = " ".join(message.split())
        super().__init__(line if len(line) <= 1_000 else f"{line[:997]}...")
