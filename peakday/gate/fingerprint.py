"""The environment that must match for two measurements to be comparable, and what differs where they do not."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict

from pydantic import ValidationError

from host.environment import host_facts
from scenarios.questions import Entry
from scenarios.schema import Scenario

HOST = ("system", "machine", "cpu", "cores", "memory_bytes", "python")
CUSTOMERS_DO = ("event", "demand", "mix", "world", "models", "faults", "quotas")
"""Keys of a scenario that say what customers do and what breaks. The assistant's own switches are under test."""


def host_fingerprint(host: Mapping[str, object]) -> dict[str, object]:
    """What of a machine moves its timings; its load of the moment is not of it."""
    return {name: host.get(name) for name in HOST}


def here() -> dict[str, object]:
    """The fingerprint of this machine."""
    return host_fingerprint(host_facts())


def workload_hash(scenario: Scenario, seed: int, script: Sequence[Entry] = ()) -> str:
    """Names what is asked of the system: two builds are comparable when it is equal, whatever their switches.

    Args:
        script: the user's own questions, where they are asked in place of the world's.
    """
    raw = scenario.model_dump(mode="json", by_alias=True)
    workload = {key: raw[key] for key in CUSTOMERS_DO} | {"seed": seed}
    if script:
        workload["script"] = [asdict(entry) for entry in script]
    return hashlib.sha256(json.dumps(workload, sort_keys=True).encode()).hexdigest()[:16]


def asked_otherwise(scenario: Scenario, other: Mapping[str, object]) -> list[str]:
    """Keys under which another build's scenario, as `peakday scenario show` prints it, asks for something else.

    What the other does not know yet is filled in by its default, so that a new key of ours is no difference by itself.
    """
    mine = scenario.model_dump(mode="json", by_alias=True)
    try:
        theirs: Mapping[str, object] = type(scenario).model_validate(other).model_dump(mode="json", by_alias=True)
    except ValidationError:
        theirs = other
    return [key for key in CUSTOMERS_DO if mine[key] != theirs.get(key)]


def differences(one: Mapping[str, object], other: Mapping[str, object]) -> list[str]:
    """`cpu: X and Y`, for each thing that differs."""
    names = [name for name in (*one, *(key for key in other if key not in one)) if one.get(name) != other.get(name)]
    return [f"{name}: {one.get(name)} and {other.get(name)}" for name in names]
