"""A what-if kept: as a scenario file that extends its base, or as a plan's folder."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from capacity.plan import Plan
from host.atomic import write_text
from host.json_values import mapping
from host.yaml_text import dump_yaml
from loadgen.record import load_run
from peakday.config import check_scenario_file
from peakday.plan.plan import NO_RUN, write_plan_folder
from peakday.records.folders import find_record, new_folder
from peakday.serve.planning.question import Question, QuestionError
from peakday.serve.planning.worker import renamed
from scenarios.loading import load_scenario, read_values, scenario_hash

_NAME = re.compile(r"[a-z][a-z0-9_]{0,60}")


def save_plan(question: Question, plan: Plan, base: Path) -> Path:
    """Write the plan's folder as `peakday plan` does: plan.json, plan.xlsx, report.html."""
    now = datetime.now(UTC)
    folder = new_folder("plans", plan.scenario.name, now, base)
    run = load_run(find_record("runs", question.run, base)) if question.run not in ("", NO_RUN) else None
    write_plan_folder(folder, renamed(plan, folder.name, now.isoformat(timespec="seconds")), run, None)
    return folder


def save_scenario(question: Question, name: str, base: Path) -> Path:
    """Write NAME.yaml: the base scenario with what the what-if sets; it loads as the same scenario.

    Raises:
        QuestionError: a name that is none or taken, prices (which are no scenario's), or settings no file can hold.
    """
    path = base / f"{name}.yaml"
    if not _NAME.fullmatch(name):
        raise QuestionError(f"{name!r} is no name: small letters, digits and _, a letter first")
    check_scenario_file(path)
    if path.exists():
        raise QuestionError(f"{path.name} is there already; choose another name")
    if question.prices:
        raise QuestionError("prices are no part of a scenario: put them into peakday.yaml, or save the plan")
    wanted = load_scenario(question.scenario, question.sets)
    _, before = read_values(question.scenario)
    text = _yaml(question, name, changes(before, wanted.model_dump(mode="json", by_alias=True), question.sets))
    write_text(path, text)
    if scenario_hash(load_scenario(path)) != scenario_hash(wanted):
        path.unlink()
        raise QuestionError("these settings cannot be kept in a file that extends another; save the plan")
    return path


def changes(before: dict[str, object], wanted: dict[str, object], sets: tuple[str, ...]) -> dict[str, object]:
    """What a file must state to come to `wanted`: each set key, whole from where a merge would replace or a list is."""
    stated: dict[str, object] = {}
    for text in sets:
        keys = text.partition("=")[0].strip().split(".")
        place, source, known = stated, wanted, mapping(before)
        for depth, key in enumerate(keys):
            value = source[key]
            if depth == len(keys) - 1 or not isinstance(value, dict) or key in _WHOLE or key not in known:
                place[key] = value
                break
            below = place[key] = dict(mapping(place.get(key)))
            place, source, known = below, value, mapping(known[key])
    return stated


_WHOLE = ("regions", "locales", "intents", "transitions", "clients", "peak_per_s")
"""Tables that a file which extends another replaces, never merges."""


def _yaml(question: Question, name: str, stated: Mapping[str, object]) -> str:
    body = dump_yaml(stated) if stated else ""
    return f"# Saved from a what-if: {question.command}\nextends: {question.scenario}\nname: {name}\n{body}"
