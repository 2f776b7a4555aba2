"""The checklist: criteria beside the scenario's SLOs, and the public practice behind each."""

# ruff: noqa: RUF012 (pydantic copies a default for every instance)

from __future__ import annotations

from importlib.resources import as_file, files
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from facts.blocks import Positive, SomeSeconds
from host.checked import check
from host.yaml_text import read_yaml
from peakday.errors import CommandError
from peakday.ready.event import Entry

Measure = Literal[
    "slo", "load_peak", "load_soak", "faults_recover", "plan_current", "order_buyable", "silicon_measured",
    "quotas_granted", "quotas_fresh", "budget_holds", "cache_as_planned", "quality_scored", "build_frozen",
    "ramp_scheduled", "person",
]  # fmt: skip


class Criterion(Entry):
    """One line that must pass. `measure`: what reads it from records, or `person`; `metric`: of `slo` alone."""

    id: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    title: str
    measure: Measure
    source: str
    metric: str = ""


class Limits(Entry):
    """Numbers that the measures hold evidence to."""

    pull_age_days_max: Positive = 14.0
    soak_s_min: SomeSeconds = 3600.0
    recovery_s_max: SomeSeconds = 60.0


class Checklist(Entry):
    """A checklist file; `sources` spells out what criteria name in short."""

    schema_: Literal["peakday.checklist/1"] = Field(alias="schema")
    sources: dict[str, str] = {}
    limits: Limits = Limits()
    faults: list[str] = []
    criteria: list[Criterion] = []


def read_checklist(path: Path | None) -> Checklist:
    """A checklist of one's own, which stands in the place of the default, or the default.

    Raises:
        CommandError: it cannot be read, or two criteria have one ID.
    """
    if path is None:
        with as_file(files("peakday").joinpath("ready", "checklist.yaml")) as default:
            return _read(default)
    return _read(path)


def _read(path: Path) -> Checklist:
    listed = check(Checklist, read_yaml(path, error=CommandError), str(path), error=CommandError)
    ids = [criterion.id for criterion in listed.criteria]
    twice = next((name for name in ids if ids.count(name) > 1), None)
    if twice is not None:
        raise CommandError(f"{path}: criteria: {twice!r} is there twice; rename one")
    return listed
