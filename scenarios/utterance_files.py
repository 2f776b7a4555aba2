"""The project's own phrasings, one file an intent: how shoppers really write, `train` and `held_out` apart."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import NotRequired, TypedDict

from host.yaml_text import load_own
from scenarios.errors import ScenarioError

PARTS = ("train", "held_out")


class Utterance(TypedDict):
    """A phrasing and its marks.

    item: a noun of the catalogue that it names; page: it leans on the product page; follow_up: on the turn before;
    image: it comes with a photo; confirm: it wants a write; answers: it accepts or declines one.
    """

    text: str
    complexity: str
    item: NotRequired[str]
    page: NotRequired[bool]
    follow_up: NotRequired[bool]
    image: NotRequired[bool]
    confirm: NotRequired[bool]
    answers: NotRequired[str]


@cache
def utterances(intent: str) -> dict[str, Sequence[Utterance]]:
    """The phrasings of one intent by part.

    Raises:
        ScenarioError: no such file, or another intent in it.
    """
    path = files("scenarios").joinpath("utterances", f"{intent}.yaml")
    try:
        raw = load_own(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ScenarioError(f"utterances/{intent}.yaml: no such file; every intent needs one") from None
    if raw.get("schema") != "peakday.utterances/1" or raw.get("intent") != intent:
        raise ScenarioError(f"utterances/{intent}.yaml: not a peakday.utterances/1 file of this intent")
    return {part: tuple(raw[part]) for part in PARTS}
