"""Starting a scenario of one's own, and the schema that editors complete and check with."""

from __future__ import annotations

import os
import re
from pathlib import Path

from scenarios.errors import ScenarioError
from scenarios.loading import load_scenario
from scenarios.schema import Scenario

_NEW = """\
# {name}: an event of your own, on top of {parent}. `peakday scenario show FILE` prints every key that it inherits.
# Replace what you know; what you leave out is {parent}'s. Say where each number comes from.
extends: {parent}
name: {name}
description: one line that says what this event is
event:
  start: {start}
  length_s: {length}
demand:
  interactions:
    # starts per second at the busiest moment, over all regions: low and high enclose the truth with this confidence
    peak_per_s: {{low: {low:g}, mid: {mid:g}, high: {high:g}, confidence: {confidence:g}}}  # {parent}'s: replace it
    source: {parent}'s, not yet yours
# slo: {{ttft_s_p99: 1.0}}
# mix: {{turns_per_interaction: {{mean: 2.2, max: 10}}}}
# quotas: {{nova-pro: {{tpm: 2000000, rpm: 500}}}}   # what your account is granted; null = not limited
"""


def new_text(name: str, parent: str = "prime_day") -> str:
    """The text of a new scenario that extends `parent`, a name of the library or a path.

    Raises:
        ScenarioError: a name that is none, or no such parent.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise ScenarioError(f"{name}: no name for a scenario; use small letters, digits and _, such as spring_sale")
    base = load_scenario(parent)
    return _NEW.format(
        name=name,
        parent=parent,
        start=base.event.start.isoformat(),
        length=_duration(base.event.length_s),
        **base.demand.interactions.peak_per_s.model_dump(),
    )


def write_new(path: Path, parent: str = "prime_day") -> Path:
    """Write a new scenario, named as its file; never over an existing one. The result is valid as written.

    Raises:
        ScenarioError: the file is there, its folder is not, or the parent is unknown.
    """
    path = path if path.suffix in (".yaml", ".yml") else path.parent / f"{path.name}.yaml"
    if Path(parent).suffix in (".yaml", ".yml"):
        load_scenario(parent)
        parent = os.path.relpath(parent, path.parent)
        text = new_text(path.stem, str(path.parent / parent)).replace(str(path.parent / parent), parent)
    else:
        text = new_text(path.stem, parent)
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise ScenarioError(f"{path}: is there already; choose another name or remove it") from None
    except OSError as error:
        raise ScenarioError(f"{path}: cannot be written ({error.strerror}); choose another folder") from None
    return path


def json_schema() -> dict[str, object]:
    """The JSON Schema of a scenario file, for editors. `extends` is a file's key and no part of a scenario."""
    schema = Scenario.model_json_schema(by_alias=True, mode="validation")
    schema["properties"]["extends"] = {
        "type": "string",
        "description": "Name of a library scenario, or a path that counts from this file: own keys are laid over it.",
    }
    schema["required"] = ["name"]
    schema["title"] = "peakday scenario"
    return schema


def _duration(seconds: float) -> str:
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds % size == 0:
            return f"{seconds / size:g}{unit}"
    return f"{seconds:g}s"
