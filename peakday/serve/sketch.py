"""An event as YAML that somebody draws on: what a drag or a deal drop changes in it, and its picture as data."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from pydantic import TypeAdapter

from dashboards.numbers.units import clock, show
from facts.blocks import Seconds
from host.errors import PeakdayError
from host.json_values import items
from host.yaml_text import dump_yaml, parse_yaml
from scenarios.loading import scenario_of_text, values_of_text
from scenarios.preview import preview
from scenarios.preview_text import totals
from scenarios.resolved import resolved_of
from scenarios.schema import Scenario

TEXT_MAX = 40_000
NAME = "event.yaml"
"""What messages call a text that is in no file."""
PEAK = ("demand", "interactions", "peak_per_s")
SHAPE = ("demand", "interactions", "shape")
BOOST, RISE_S, DECAY_S = 0.4, 60.0, 1_800.0
"""Of a deal drop that says no more than when: those of prime_day, assumed there."""


class SketchError(PeakdayError, ValueError):
    """A change that the text cannot take."""

    page = "serve"


def begun(scenario: str) -> str:
    """The text to draw on: it extends a scenario and changes nothing yet."""
    stem = Path(scenario).stem
    return f"extends: {scenario}\nname: {stem}_mine\n"


def sketched(text: str, folder: Path) -> Scenario:
    """The text as a checked scenario.

    Raises:
        ScenarioError, SketchError: it is none; the message names key and fix.
    """
    if len(text) > TEXT_MAX:
        raise SketchError(f"the text is longer than {TEXT_MAX:,} characters")
    _refuse_elsewhere(parse_yaml(text, NAME, error=SketchError), "")
    return scenario_of_text(text, NAME, folder)


def edited(text: str, edit: Mapping[str, object], folder: Path) -> str:
    """The text after one change: `{"kind": "peak", "low": …}`, `add_drop`, `remove_drop` or `length`.

    Comments above the first key stay; those between keys are lost, since the text is written anew.

    Raises:
        SketchError: no such change, or a number that is none.
    """
    change = _CHANGES.get(str(edit.get("kind")))
    if change is None:
        raise SketchError(f"{edit.get('kind')!r} is no change; known: {', '.join(_CHANGES)}")
    own: dict[str, object] = parse_yaml(text, NAME, error=SketchError)
    _refuse_elsewhere(own, "")
    change(own, values_of_text(text, NAME, folder), edit)
    lines = text.split("\n")
    head = lines[: next((i for i, line in enumerate(lines) if line[:1] not in "# "), 0)]
    return "\n".join([*head, dump_yaml(own)])


def _refuse_elsewhere(values: Mapping[str, object] | list[object], where: str) -> None:
    """A text may come with an address from anywhere: it reads no file but the folder's."""
    for key, value in enumerate(values) if isinstance(values, list) else values.items():
        if key in ("extends", "file") and isinstance(value, str) and Path(value).name != value:
            raise SketchError(f"{NAME}: {where}{key}: {value!r} is outside the folder; copy the file into it")
        if isinstance(value, dict | list):
            _refuse_elsewhere(value, f"{where}{key}.")


def _number(edit: Mapping[str, object], key: str, default: float | None = None) -> float:
    value = edit.get(key, default)
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= sys.float_info.max:
        raise SketchError(f"{key}: {value!r} is no number from 0 on")
    return value


def _place(own: dict[str, object], keys: tuple[str, ...], value: object) -> None:
    for key in keys[:-1]:
        inner = own.get(key)
        own[key] = own = dict(inner) if isinstance(inner, dict) else {}
    own[keys[-1]] = value


def _peak(own: dict[str, object], merged: Mapping[str, object], edit: Mapping[str, object]) -> None:
    known = resolved_of(merged)["demand"]["interactions"]["peak_per_s"]
    peak: dict[str, object] = {part: _number(edit, part) for part in ("low", "mid", "high")}
    if isinstance(known, dict) and "confidence" in known:
        peak["confidence"] = known["confidence"]
    _place(own, PEAK, peak)


def _add_drop(own: dict[str, object], merged: Mapping[str, object], edit: Mapping[str, object]) -> None:
    """Into the deal drops of the shape that fade alike; else a further piece of the product."""
    at_s = _number(edit, "at_s")
    kind = {
        "boost_ratio": _number(edit, "boost_ratio", BOOST),
        "rise_s": _number(edit, "rise_s", RISE_S),
        "decay_s": _number(edit, "decay_s", DECAY_S),
    }
    pieces = _pieces(merged)
    for piece in pieces:
        if piece.get("kind") == "deal_drops" and all(_seconds(piece.get(key)) == value for key, value in kind.items()):
            piece["at_s"] = sorted([*items(piece["at_s"]), at_s], key=_seconds)
            break
    else:
        pieces.append({"kind": "deal_drops", "at_s": [at_s], **kind})
    _place(own, SHAPE, {"kind": "product", "of": pieces})


def _remove_drop(own: dict[str, object], merged: Mapping[str, object], edit: Mapping[str, object]) -> None:
    at_s, pieces = _number(edit, "at_s"), _pieces(merged)
    for piece in pieces:
        if piece.get("kind") == "deal_drops" and any(_seconds(moment) == at_s for moment in items(piece["at_s"])):
            piece["at_s"] = [moment for moment in items(piece["at_s"]) if _seconds(moment) != at_s]
            break
    else:
        raise SketchError(f"at_s: no deal drops at {at_s:g} s")
    left = [piece for piece in pieces if piece.get("kind") != "deal_drops" or piece["at_s"]]
    _place(own, SHAPE, {"kind": "product", "of": left or [{"kind": "constant"}]})


def _length(own: dict[str, object], _merged: Mapping[str, object], edit: Mapping[str, object]) -> None:
    _place(own, ("event", "length_s"), _number(edit, "length_s"))


_CHANGES: dict[str, Callable[[dict[str, object], Mapping[str, object], Mapping[str, object]], None]] = {
    "peak": _peak,
    "add_drop": _add_drop,
    "remove_drop": _remove_drop,
    "length": _length,
}


def _pieces(merged: Mapping[str, object]) -> list[dict[str, object]]:
    """The factors of the interactions' shape, each a copy."""
    shape = resolved_of(merged)["demand"]["interactions"]["shape"]
    return [dict(piece) for piece in (shape["of"] if shape["kind"] == "product" else [shape])]


def _seconds(value: object) -> float:
    """A moment as a scenario may write it: seconds, or 12h."""
    if isinstance(value, int | float):
        return float(value)
    return float(TypeAdapter(Seconds).validate_python(value))


def picture_data(scenario: Scenario) -> dict[str, object]:
    """What the page draws: the rate of interactions with its band, its deal drops, and what it comes to."""
    view = preview(scenario)
    stream = view.streams[0]
    peak, total = scenario.demand.interactions.peak_per_s, stream.rate_per_s.sum(axis=0)
    return {
        "name": scenario.name,
        "offset_s": view.offset_s.round(3).tolist(),
        "rate_per_s": total.tolist(),
        "regions": {
            name: rates.tolist() for name, rates in zip(scenario.event.regions, stream.rate_per_s, strict=True)
        },
        "peak": {part: getattr(peak, part) for part in ("low", "mid", "high", "confidence")},
        "drops": [
            {"at_s": at_s, "text": f"{clock(at_s, scenario.event.length_s)}, +{show(ratio, 'ratio')}"}
            for at_s, ratio in _drops(scenario)
        ],
        "length_s": scenario.event.length_s,
        "start": scenario.event.start.isoformat(),
        "totals": totals(view),
        "warnings": list(view.warnings),
    }


def _drops(scenario: Scenario) -> list[tuple[float, float]]:
    shape = scenario.demand.interactions.shape
    pieces = shape.of if shape.kind == "product" else [shape]
    return sorted((at_s, piece.boost_ratio) for piece in pieces if piece.kind == "deal_drops" for at_s in piece.at_s)
