"""Baselines: `SCENARIO/exact.json` is what the snapshot checks compare with, `SCENARIO/history.json` earlier runs.

Both are replaced in place, with keys in a fixed order and a figure a line, so that accepting a change is a diff that a
person reads. The repository, or the bucket's versioning, keeps what was before.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from host.errors import PeakdayError
from host.json_values import mapping, objects, text
from peakday.errors import CommandError
from peakday.gate.baselines.store import Store

SCHEMA = "peakday.baseline/2"
OLD_SCHEMA = "peakday.baseline/1"
"""A file per version, and `current.json` that names one; still read."""
HISTORY_SCHEMA = "peakday.history/1"
HISTORY_RUNS_MAX = 60
"""Runs kept: the newest. The history gate asks for eight of one machine and load; a choice of ours."""
_VERSION = re.compile(r"\d{8}-\d{6}(-\d+)?")


class BaselineError(PeakdayError, ValueError):
    """A baseline that is missing, damaged or of another schema; the message says which and the remedy."""

    page = "ci"


@dataclass(frozen=True)
class Snapshot:
    """What the script showed of one build: its figures, and the turns they come from.

    Attributes:
        workload: what was asked (`fingerprint.workload_hash`); only snapshots of one workload are comparable.
        saved: when, of which commit, on which machine and by which peakday: {utc, commit, host, peakday_version}.
    """

    workload: str
    figures: Mapping[str, float | str]
    turns: tuple[Mapping[str, object], ...]
    saved: Mapping[str, object] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """How a report calls it."""
        commit = text(self.saved.get("commit"))
        return f"{self.saved.get('utc') or 'unknown'}" + (f" ({commit[:12]})" if commit else "")


def exact_key(scenario: str) -> str:
    """Where the snapshot of a scenario lies."""
    return f"{scenario}/exact.json"


def history_key(scenario: str) -> str:
    """Where earlier runs of a scenario lie."""
    return f"{scenario}/history.json"


def is_kept(store: Store, scenario: str) -> bool:
    """Whether a snapshot was ever saved, readable or not: one that vanished is not made anew."""
    known = any(store.read(key) is not None for key in (exact_key(scenario), _old_key(scenario)))
    return known or bool(old_versions(store, scenario))


def current(store: Store, scenario: str) -> Snapshot:
    """The snapshot that checks of a scenario compare with.

    Raises:
        BaselineError: none yet, or damaged.
    """
    raw = store.read(exact_key(scenario))
    if raw is not None:
        return _snapshot(_parsed(raw, exact_key(scenario)), exact_key(scenario))
    raw = store.read(_old_key(scenario))
    if raw is None:
        raise BaselineError(f"no baseline of {scenario} yet; `peakday baseline save {scenario}` makes one")
    return load_old(store, scenario, str(_parsed(raw, _old_key(scenario)).get("version")))


def _snapshot(known: Mapping[str, object], key: str) -> Snapshot:
    _check(known, key, SCHEMA, ("workload", "figures", "turns"))
    return Snapshot(
        str(known["workload"]),
        figures_of(known["figures"]),
        tuple(objects(known["turns"])),
        mapping(known.get("saved")),
    )


def figures_of(values: object) -> dict[str, float | str]:
    """Figures by name, as a file or a check holds them."""
    return {name: value for name, value in mapping(values).items() if isinstance(value, int | float | str)}


def _check(known: Mapping[str, object], key: str, schema: str, names: Iterable[str]) -> None:
    if known.get("schema") != schema:
        raise BaselineError(f"{key}: schema is {known.get('schema')!r}, this peakday reads {schema!r}; save it anew")
    lacking = [name for name in names if name not in known]
    if lacking:
        raise BaselineError(f"{key}: damaged, {', '.join(lacking)} is missing; save it anew")


def _parsed(raw: bytes, key: str) -> dict[str, object]:
    try:
        value = json.loads(raw)
    except ValueError as error:
        raise BaselineError(f"{key}: damaged ({error}); restore it, or save it anew") from None
    if not isinstance(value, dict):
        raise BaselineError(f"{key}: damaged, a JSON object was expected; restore it, or save it anew")
    return value


def save(store: Store, scenario: str, snapshot: Snapshot) -> None:
    """Let checks compare with this snapshot from now on, in place of the one before."""
    document = {
        "schema": SCHEMA, "scenario": scenario, "workload": snapshot.workload, "figures": dict(snapshot.figures),
        "turns": list(snapshot.turns), "saved": dict(snapshot.saved),
    }  # fmt: skip
    store.write(exact_key(scenario), as_text(document).encode())


def as_text(document: Mapping[str, object]) -> str:
    """JSON whose top keys keep their order; below them keys are sorted, with a line for each value.

    A model call or a tool of a turn, and a run of the history, is one line.
    """
    parts = [f'"{key}": {_written(value, 1)}' for key, value in document.items()]
    return "{\n" + ",\n".join(f" {part}" for part in parts) + "\n}\n"


def _written(value: object, depth: int) -> str:
    if depth > 3 or not isinstance(value, dict | list) or not value:
        return json.dumps(value, allow_nan=False, sort_keys=True, ensure_ascii=False)
    inner, outer = " " * (depth + 1), " " * depth
    if isinstance(value, list):
        entries = [_written(entry, depth + 1) for entry in value]
        return "[\n" + ",\n".join(f"{inner}{entry}" for entry in entries) + f"\n{outer}]"
    entries = [f"{json.dumps(key)}: {_written(value[key], depth + 1)}" for key in sorted(value)]
    return "{\n" + ",\n".join(f"{inner}{entry}" for entry in entries) + f"\n{outer}}}"


def history(store: Store, scenario: str) -> list[dict[str, object]]:
    """Earlier runs, oldest first: {utc, workload, host, load, METRIC: value, ...}; those of older baselines too.

    Raises:
        BaselineError: the file is damaged or of another schema.
    """
    raw = store.read(history_key(scenario))
    if raw is None:
        return _old_runs(store, scenario)
    known = _parsed(raw, history_key(scenario))
    _check(known, history_key(scenario), HISTORY_SCHEMA, ("runs",))
    return objects(known["runs"])


def add_runs(store: Store, scenario: str, runs: Iterable[Mapping[str, object]]) -> int:
    """Add runs to the history, whose oldest go beyond `HISTORY_RUNS_MAX`; how many are kept."""
    kept = [*history(store, scenario), *map(dict, runs)][-HISTORY_RUNS_MAX:]
    lines = ",\n".join(f"  {json.dumps(run, allow_nan=False, sort_keys=True)}" for run in kept)
    text = f'{{\n "schema": "{HISTORY_SCHEMA}",\n "scenario": {json.dumps(scenario)},\n "runs": [\n{lines}\n ]\n}}\n'
    store.write(history_key(scenario), text.encode())
    return len(kept)


# --- baselines of schema 1: a file per version ------------------------------------------------------------------------


def _old_key(scenario: str) -> str:
    return f"{scenario}/current.json"


def old_versions(store: Store, scenario: str) -> list[str]:
    """Versions that an earlier peakday saved, oldest first."""
    names = (key.rpartition("/")[2].removesuffix(".json") for key in store.keys(f"{scenario}/"))
    return sorted(name for name in names if _VERSION.fullmatch(name))


def _old_document(store: Store, scenario: str, version: str) -> dict[str, object]:
    key = f"{scenario}/{version}.json"
    raw = store.read(key)
    if raw is None:
        raise BaselineError(f"{key}: no such baseline; `peakday baseline list {scenario}` shows what there is")
    known = _parsed(raw, key)
    _check(known, key, OLD_SCHEMA, ("exact", "moments", "workload", "runs"))
    return known


def load_old(store: Store, scenario: str, version: str) -> Snapshot:
    """A version that an earlier peakday saved.

    Raises:
        BaselineError: missing, damaged, or of another schema.
    """
    known = _old_document(store, scenario, version)
    saved = {name: known.get(name) for name in ("commit", "host", "peakday_version")}
    return Snapshot(
        str(known["workload"]),
        figures_of(known["exact"]),
        tuple(objects(known["moments"])),
        {**saved, "utc": known.get("created_utc")},
    )


def _old_runs(store: Store, scenario: str) -> list[dict[str, object]]:
    runs = []
    for version in old_versions(store, scenario):
        try:
            known = _old_document(store, scenario, version)
        except BaselineError:
            continue
        of_it = {"utc": known.get("created_utc"), "workload": known["workload"], "host": known.get("host")}
        runs += [{**of_it, **run} for run in objects(known["runs"])]
    return runs


def promote(store: Store, scenario: str, version: str) -> None:
    """Let checks compare with a version that an earlier peakday saved.

    Raises:
        CommandError: there is no such version, or it cannot be read.
    """
    try:
        snapshot = load_old(store, scenario, version)
    except BaselineError as error:
        raise CommandError(str(error)) from None
    save(store, scenario, snapshot)
