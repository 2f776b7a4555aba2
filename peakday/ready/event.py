"""EVENT.yaml: which records an event rests on, and what only people can say of it. What nobody wrote stays blank."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from facts.blocks import Moment, Positive
from host.atomic import write_text
from host.checked import check
from host.yaml_text import read_yaml
from peakday.errors import CommandError
from scenarios.loading import load_scenario, scenario_hash
from scenarios.schema import Scenario

SCHEMA = "peakday.event/1"


class Entry(BaseModel):
    """Every key is known, or it is an error; a key without a value is a blank."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _blank(value: object) -> object:
    """A key without a value is a blank, and a number or a date is the text that was written."""
    return "" if value is None else str(value) if not isinstance(value, str) else value


Text = Annotated[str, BeforeValidator(_blank)]


class Signed(Entry):
    """What a person says of a criterion that no record shows."""

    result: Literal["pass", "fail", ""] = ""
    evidence: Text = ""
    date: Text = ""
    by: Text = ""


class QuotaRequest(Entry):
    """An increase that was requested, and what came of it."""

    model: str
    region: str
    kind: Literal["rpm", "tpm", "tpd", "input_tpm", "output_tpm", "account_tpd", "vcpu"]
    requested: Positive | None = None
    requested_on: Text = ""
    granted: Positive | None = None
    granted_on: Text = ""
    case: Text = ""


class Order(Entry):
    """A booking that was placed."""

    what: Text
    region: Text = ""
    ordered_on: Text = ""
    reference: Text = ""


class RollbackSwitch(Entry):
    """A switch that people may turn: what it does, how, who may, and when it was last tried."""

    what: Text
    how: Text = ""
    who: Text = ""
    tried_on: Text = ""


class Contact(Entry):
    """Whom to call."""

    role: Text
    name: Text = ""
    phone: Text = ""


class Risk(Entry):
    """What is open, who holds it, until when."""

    what: Text
    owner: Text = ""
    until: Text = ""


class Day(Entry):
    """A line of the calendar, at a date or so many days before the first hour."""

    date: Text = ""
    what: Text
    who: Text = ""


class EventFile(Entry):
    """The file as it is written."""

    schema_: Literal["peakday.event/1"] = Field(default="peakday.event/1", alias="schema")
    title: Text = ""
    scenario: str
    starts: Moment | None = None
    evidence: Literal["measured", "simulated"] = "measured"
    runs: list[str] = []
    plan: str = "latest"
    budget_usd: Positive | None = None
    ramp_from_per_min: dict[str, Positive] = {}
    checklist: Path | None = None
    checks: dict[str, Signed] = {}
    fault_owners: dict[str, Text] = {}
    quotas: list[QuotaRequest] = []
    orders: list[Order] = []
    switches: list[RollbackSwitch] = []
    contacts: list[Contact] = []
    risks: list[Risk] = []
    calendar: list[Day] = []


@dataclass(frozen=True)
class Event:
    """The file, its scenario, and where it lies; `path` None: a scenario alone was named."""

    file: EventFile
    scenario: Scenario
    scenario_hash: str
    path: Path | None

    @property
    def title(self) -> str:
        """As it is printed on top."""
        return self.file.title or self.scenario.name

    @property
    def dress_rehearsal(self) -> bool:
        """Whether simulated evidence counts: the document then says so everywhere and is for nobody to sign."""
        return self.file.evidence == "simulated"


def read_event(named: str) -> Event:
    """An event file, or a scenario by name or path, whose event is then blank but for it.

    Raises:
        CommandError: a file that cannot be read, or a key or value that is none.
        ScenarioError: no such scenario.
    """
    path = Path(named)
    values = read_yaml(path, error=CommandError) if path.is_file() else None
    if not isinstance(values, dict) or values.get("schema") != SCHEMA:
        return _event(EventFile(scenario=named), None)
    return _event(check(EventFile, values, named, error=CommandError), path)


def _event(file: EventFile, path: Path | None) -> Event:
    beside = (path.parent / file.scenario) if path is not None else Path(file.scenario)
    scenario = load_scenario(beside if beside.is_file() else file.scenario)
    return Event(file, scenario, scenario_hash(scenario), path)


def write_event(scenario: str, out: Path) -> Path:
    """A commented event file of a scenario, every blank to be filled by a person.

    Raises:
        CommandError: the file is here already.
        ScenarioError: no such scenario.
    """
    load_scenario(scenario)
    if out.exists():
        raise CommandError(f"{out}: already here; name another, or edit it")
    write_text(out, TEMPLATE.format(scenario=scenario))
    return out


def merged(values: object) -> object:
    """The values of a template without what is commented: for tests of the template itself."""
    return check(EventFile, values, "template", error=CommandError)


TEMPLATE = """\
# What `peakday ready` gathers into the document that is signed. Every blank stays blank in it: nothing is invented.
schema: peakday.event/1
title:
scenario: {scenario}
# The first hour, with its zone, such as 2026-11-27T00:00:00-08:00: the calendar's dates follow from it.
starts:
# measured, or simulated: a dress rehearsal on the emulator, which says so everywhere and is for nobody to sign.
evidence: measured
# Records that count; left out: the newest valid runs of the scenario, and the newest plan of it.
runs: []
plan: latest
budget_usd:
# Calls a minute that each Bedrock model serves on an ordinary day: what AWS's ramp begins from.
ramp_from_per_min: {{}}
# What only people can say, by the ID of a criterion: `rollback_tried: {{result: pass, evidence: , date: , by: }}`.
checks: {{}}
# Who owns a fault's recovery: `region_down: NAME`.
fault_owners: {{}}
# `- {{model: nova-pro, region: us-east-1, kind: tpm, requested: , requested_on: , granted: , granted_on: , case: }}`
quotas: []
# `- {{what: , region: , ordered_on: , reference: }}`
orders: []
# `- {{what: , how: , who: , tried_on: }}`
switches: []
# `- {{role: , name: , phone: }}`: beside the roles that the document always lists.
contacts: []
# `- {{what: , owner: , until: }}`
risks: []
# `- {{date: , what: , who: }}`: beside the calendar that the document always lists.
calendar: []
"""
