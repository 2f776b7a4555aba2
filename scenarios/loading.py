"""From a name or a path to a checked `Scenario`: files, `extends`, `--set`, and errors of one line.

A scenario file is a mapping. `extends: NAME_OR_PATH` starts from another one: mappings are merged key by key. Anything
else replaces, and so do tables whose shares must sum to 1 (regions, locales, intents, transitions, clients), a shape of
another kind and arrivals of another process. `--set a.b=c` is applied last. YAML aliases are refused: a scenario is
read by people.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from importlib.resources import files
from pathlib import Path

from facts import reader
from facts.intents import COMPLEXITIES
from host.checked import check
from host.files import FileError, read_text
from host.yaml_text import parse_yaml
from scenarios.counts import step_counts
from scenarios.errors import ScenarioError
from scenarios.resolved import Resolved, resolved_of
from scenarios.schema import Product, Scenario, Shape, Stream, Sum, Trace
from scenarios.traces.arrivals import survey

__all__ = ["ScenarioError", "json_values", "library", "load_scenario", "read_values", "scenario_hash"]

EXTENDS_MAX = 8
_TABLES = ("regions", "locales", "intents", "transitions", "clients")


def library() -> dict[str, str]:
    """Name -> description of every scenario shipped with the package."""
    return {name: str(_library_file(name)[1].get("description", "")) for name in _library_names()}


def load_scenario(name_or_path: str | Path, sets: Iterable[str] = (), models_file: Path | None = None) -> Scenario:
    """A scenario of the library by name, or of a file by path, with `extends` and `a.b=c` settings applied.

    Args:
        name_or_path: `prime_day`, or a path that ends in .yaml or .yml, or that exists.
        sets: settings such as `demand.interactions.peak_per_s=20`; the value is YAML.
        models_file: a models.yaml overlay, when the models named are not the package's.
    Raises:
        ScenarioError: one line with file, key, value and fix.
    """
    where, values = read_values(name_or_path)
    settings = list(sets)
    for setting in settings:
        _apply(values, setting, where)
    _absolute_files(values, Path.cwd())
    return _checked(values, where, settings, models_file)


def scenario_of_text(text: str, name: str, folder: Path) -> Scenario:
    """A scenario that is in no file yet: its YAML, what messages call it, and the folder it would be in.

    Raises:
        ScenarioError: one line with key, value and fix.
    """
    return _checked(values_of_text(text, name, folder), name, [], None)


def values_of_text(text: str, name: str, folder: Path) -> dict[str, object]:
    """Its values with `extends` merged in; not yet checked against the schema.

    Raises:
        ScenarioError: no YAML mapping, or what it extends is not there.
    """
    values = _parsed(text, name)
    _absolute_files(values, folder)
    return _extended(values, name, folder, (name,))


def _checked(values: Mapping[str, object], where: str, settings: list[str], models_file: Path | None) -> Scenario:
    scenario = check(Scenario, values, where, settings=settings, error=ScenarioError)
    _check_against_facts(scenario, where, models_file)
    for trace in traces_of(scenario):
        step_counts(trace.file, trace.time_column, trace.count_column, trace.step_s)
    for stream in _streams(scenario):
        if stream.arrivals.process == "replay" and stream.arrivals.file is not None:
            survey(stream.arrivals.file)
    return scenario


def read_values(name_or_path: str | Path) -> tuple[str, dict[str, object]]:
    """The file's name for messages, and its values with `extends` merged in; not yet checked against the schema.

    Raises:
        ScenarioError: no such scenario, unreadable, no YAML mapping, or `extends` in a circle.
    """
    return _read(str(name_or_path), Path.cwd(), ())


def json_values(scenario: Scenario) -> Resolved:
    """The scenario as JSON values: what workers, the emulator and `scenario show` read."""
    return resolved_of(scenario.model_dump(mode="json", by_alias=True))


NEW_KEYS: dict[str, object] = {
    "hit_ratios": {},
    "quality_floor": None,
    "on_demand_vcpus": {},
    "rate_per_replica_per_s": None,
    "chips_per_replica": None,
    "above_per_s": None,
    "sustain_s": 900.0,
    "agentcore": None,
    "input_tpm": None,
    "output_tpm": None,
}
"""Keys that scenarios did not have when the first hashes were written, with their defaults: unset, they change no hash,
so that a scenario keeps its runs."""


def _without_new(value: object) -> object:
    if isinstance(value, list):
        return [_without_new(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {key: _without_new(item) for key, item in value.items() if key not in NEW_KEYS or item != NEW_KEYS[key]}


def scenario_hash(scenario: Scenario) -> str:
    """16 hex digits over every value that changes what is generated or aimed at; trace files count by content."""
    values = _without_new(scenario.model_dump(mode="json", by_alias=True, exclude={"name", "description"}))
    for user in _file_users(values):
        user["file"] = hashlib.sha256(Path(str(user["file"])).read_bytes()).hexdigest()
    text = json.dumps(values, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def traces_of(scenario: Scenario) -> list[Trace]:
    """Every trace shape of a scenario's demand."""
    return [trace for stream in _streams(scenario) for trace in _traces(stream.shape)]


def _streams(scenario: Scenario) -> list[Stream]:
    background = scenario.demand.background
    streams = (scenario.demand.interactions, background.planner_queries, background.price_ticks)
    return [stream for stream in streams if stream is not None]


def _traces(shape: Shape) -> Iterator[Trace]:
    if isinstance(shape, Trace):
        yield shape
    elif isinstance(shape, Sum | Product):
        for piece in shape.of:
            yield from _traces(piece)


def _file_users(values: object) -> Iterator[dict[str, object]]:
    """Every mapping among nested values that names a file: trace shapes and replayed arrivals, to change in place."""
    if isinstance(values, dict):
        if isinstance(values.get("file"), str) and (values.get("kind") == "trace" or values.get("process") == "replay"):
            yield values
        values = list(values.values())
    if isinstance(values, list):
        for value in values:
            yield from _file_users(value)


def _library_names() -> list[str]:
    folder = files("scenarios").joinpath("library")
    return sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml"))


def _library_file(name: str) -> tuple[str, dict[str, object]]:
    where = f"{name}.yaml"
    return where, _parsed(files("scenarios").joinpath("library", where).read_text(encoding="utf-8"), where)


def _read(name: str, folder: Path, chain: tuple[str, ...]) -> tuple[str, dict[str, object]]:
    """One file and all it extends. `folder`: where a relative path starts. `chain`: the files that led here."""
    if len(chain) >= EXTENDS_MAX or name in chain:
        raise ScenarioError(f"{chain[0]}: extends: goes in a circle or too deep: {' -> '.join((*chain, name))}")
    path = (folder / name).expanduser()
    if name.endswith((".yaml", ".yml")) or path.is_file():
        where, values = name, _parsed(_text(path, name), name)
        _absolute_files(values, path.parent)
        folder = path.parent
    elif name in _library_names():
        where, values = _library_file(name)
    else:
        known = ", ".join(_library_names())
        raise ScenarioError(f"{name}: no such scenario; use a path to a .yaml file, or one of {known}")
    return where, _extended(values, where, folder, (*chain, name))


def _extended(values: dict[str, object], where: str, folder: Path, chain: tuple[str, ...]) -> dict[str, object]:
    """Values laid over those of what they extend, read from `folder`."""
    parent = values.pop("extends", None)
    if parent is None:
        return values
    if not isinstance(parent, str):
        raise ScenarioError(f"{where}: extends: {parent!r} is no scenario; give a name or a path")
    return _merge(_read(parent, folder, chain)[1], values)


def _text(path: Path, name: str) -> str:
    try:
        return read_text(path)
    except ScenarioError:
        raise
    except (FileError, ValueError) as error:
        problem = str(error).removeprefix(f"{path}: ")
        if path.is_file():
            raise ScenarioError(f"{name}: {problem}") from None
        raise ScenarioError(f"{name}: {problem}; give a path, or a name that `peakday scenario list` shows") from None


def _parsed(text: str, where: str) -> dict[str, object]:
    values: dict[str, object] = parse_yaml(text, where, error=ScenarioError, start="start from `peakday scenario new`")
    return values


def _absolute_files(values: object, folder: Path) -> None:
    """A file's relative path counts from the scenario that names it."""
    for user in _file_users(values):
        user["file"] = str((folder / str(user["file"])).expanduser().resolve())


def _merge(base: Mapping[str, object], over: Mapping[str, object]) -> dict[str, object]:
    """Mappings key by key; an empty one clears what the parent states."""
    merged = dict(base)
    for key, value in over.items():
        old = merged.get(key)
        if value and isinstance(value, dict) and isinstance(old, dict) and _one_kind(key, old, value):
            merged[key] = _merge(old, value)
        else:
            merged[key] = value
    return merged


def _one_kind(key: str, old: Mapping[str, object], new: Mapping[str, object]) -> bool:
    return key not in _TABLES and _same_kind(old, new)


def _same_kind(old: Mapping[str, object], new: Mapping[str, object]) -> bool:
    """Whether both are the same kind of shape, or the same process of arrivals, as far as the new one says."""
    return all(new.get(key, old.get(key)) == old.get(key) for key in ("kind", "process"))


def _apply(values: Mapping[str, object], setting: str, where: str) -> None:
    """Set one `a.b=c` in place; a number in the path is an index into a list."""
    path, equals, text = setting.partition("=")
    keys = path.strip().split(".")
    if not equals or not all(keys):
        raise ScenarioError(f"--set {setting}: expected a.b=value, such as demand.interactions.peak_per_s=20")
    target: object = values
    for depth, key in enumerate(keys):
        here = f"{where}: --set {setting}: {'.'.join(keys[:depth])}"
        if depth < len(keys) - 1:
            target = _below(target, key, here)
        elif isinstance(target, dict):
            target[key] = _set_value(text, setting)
        else:
            listed, index = _listed(target, key, here)
            listed[index] = _set_value(text, setting)


def _set_value(text: str, setting: str) -> object:
    return parse_yaml(text, f"--set {setting}", mapping=False, error=ScenarioError)


def _below(target: object, key: str, where: str) -> object:
    """What stands at a key, or at the index into a list that it stands for; a mapping where nothing is yet."""
    if isinstance(target, dict):
        if target.get(key) is None:
            target[key] = {}
        return target[key]
    listed, index = _listed(target, key, where)
    return listed[index]


def _listed(target: object, key: str, where: str) -> tuple[list[object], int]:
    if isinstance(target, list) and key.isdecimal() and int(key) < len(target):
        return target, int(key)
    what = f"a list of {len(target)}" if isinstance(target, list) else "no mapping"
    raise ScenarioError(f"{where}: is {what}, so {key!r} is no place in it; set it as a whole")


def _check_windows(scenario: Scenario, where: str, known: Mapping[str, reader.Model]) -> None:
    """A prompt that is longer than the window of the model that answers is refused by every provider."""
    tokens, policy = scenario.capacity.assumed_tokens, scenario.assistant.policy
    prompt = tokens.shared_prefix_tokens + tokens.customer_prefix_tokens + tokens.message_tokens
    for intent in scenario.mix.intents:
        for complexity in COMPLEXITIES:
            model = known.get(policy.model_for(intent, complexity))
            if model is not None and model.key in scenario.models and prompt > model.context_tokens:
                raise ScenarioError(
                    f"{where}: capacity.assumed_tokens: a first call of {prompt:,} tokens exceeds the window of "
                    f"{model.key}, {model.context_tokens:,}; shorten it, or route {intent}/{complexity} elsewhere"
                )


def _check_against_facts(scenario: Scenario, where: str, models_file: Path | None) -> None:
    known = reader.models(models_file)
    for model in scenario.models:
        if model not in known:
            raise ScenarioError(f"{where}: models: {model!r} is unknown; known: {', '.join(known)} (see models.yaml)")
    _check_windows(scenario, where, known)
    marketplaces = reader.marketplaces(models_file)
    for name, region in scenario.event.regions.items():
        for locale in region.locales:
            if locale not in marketplaces:
                known_locales = ", ".join(marketplaces)
                raise ScenarioError(
                    f"{where}: event.regions.{name}.locales: {locale!r} is unknown; known: {known_locales}"
                )
