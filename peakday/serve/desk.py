"""What every page of one start of serve works with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from starlette.requests import Request

from host.errors import PeakdayError
from host.json_text import JsonError, parse_json
from peakday.serve.catalogue import Catalogue
from peakday.serve.protection import Rules


async def body(request: Request) -> dict[str, object]:
    """The JSON mapping that a write brings.

    Raises:
        PeakdayError: it is none.
    """
    try:
        values = parse_json(await request.body(), "body")
    except JsonError:
        values = None
    if not isinstance(values, dict):
        raise PeakdayError("the body is no JSON mapping")
    return values


@dataclass
class Desk:
    """The folder that is shown, its catalogue, and who may do what.

    prometheus: address of a server that scrapes the assistant, for the event's page; empty without one.
    """

    base: Path
    rules: Rules
    catalogue: Catalogue
    prometheus: str = ""

    @classmethod
    def of(cls, base: Path, rules: Rules, prometheus: str = "") -> Desk:
        """The desk of a folder."""
        return cls(base, rules, Catalogue(base), prometheus)

    def read_only(self, request: Request) -> bool:
        """Whether this reader can change nothing: by --read-only, or because a proxy stands between."""
        return self.rules.read_only or request.headers.get("host") in self.rules.names
