"""The project's own phrasings, one file an intent: how shoppers really write, `train` and `held_out` apart."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from scenarios.errors import ScenarioError

PARTS = ("train", "held_out")


@cache
def utterances(intent: str) -> dict[str, Sequence[dict[str, Any]]]:
    """The phrasings of one intent by part.

    Each holds text and complexity, and where it applies item (a noun of the catalogue that it names), page (it leans on
    the product page), follow_up (on the turn before), image (it comes with a photo), confirm (it asks for a write).

    Raises:
        ScenarioError: no such file, or another intent in it.
    """
    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    path = files("scenarios").joinpath("utterances", f"{intent}.yaml")
    try:
        raw = yaml.load(path.read_text(encoding="utf-8"), Loader=loader)  # noqa: S506 (a safe loader)
    except FileNotFoundError:
        raise ScenarioError(f"utterances/{intent}.yaml: no such file; every intent needs one") from None
    if raw.get("schema") != "peakday.utterances/1" or raw.get("intent") != intent:
        raise ScenarioError(f"utterances/{intent}.yaml: not a peakday.utterances/1 file of this intent")
    return {part: tuple(raw[part]) for part in PARTS}
