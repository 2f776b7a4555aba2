"""Values of a user's file as a checked type; what pydantic refuses becomes one line: file, key, value and fix."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from host.errors import PeakdayError, refusal
from host.yaml_text import YamlError

T = TypeVar("T")
_A_TIME = "expected a time with its zone, such as 2025-07-08T00:00:00-07:00"
_A_MAPPING = "expected a mapping of keys to values"
_SENTENCES: dict[str, str | Callable[[Mapping[str, object]], str]] = {
    "missing": "missing; add it",
    "extra_forbidden": "unknown key; remove it or correct its name",
    "greater_than": lambda ctx: f"expected above {ctx['gt']:g}",
    "greater_than_equal": lambda ctx: f"expected {ctx['ge']:g} or more",
    "less_than": lambda ctx: f"expected below {ctx['lt']:g}",
    "less_than_equal": lambda ctx: f"expected {ctx['le']:g} or less",
    "finite_number": "expected a finite number",
    "float_parsing": "expected a number",
    "float_type": "expected a number",
    "int_parsing": "expected a whole number",
    "int_parsing_size": "expected a whole number of fewer digits",
    "int_type": "expected a whole number",
    "int_from_float": "expected a whole number",
    "string_type": "expected text; put it in quotes",
    "bool_parsing": "expected true or false",
    "bool_type": "expected true or false",
    "list_type": "expected a list, such as [a, b]",
    "tuple_type": "expected a list, such as [a, b]",
    "dict_type": _A_MAPPING,
    "model_type": _A_MAPPING,
    "model_attributes_type": _A_MAPPING,
    "dataclass_type": _A_MAPPING,
    "string_too_long": lambda ctx: f"expected at most {ctx['max_length']} characters",
    "too_short": lambda ctx: f"expected at least {ctx['min_length']}",
    "literal_error": lambda ctx: f"expected {ctx['expected']}",
    "union_tag_invalid": lambda ctx: f"unknown kind {ctx['tag']!r}; expected {ctx['expected_tags']}",
    "union_tag_not_found": "kind: missing; add it",
    "string_pattern_mismatch": "expected small letters, digits and _, beginning with a letter",
    "timezone_aware": _A_TIME,
}


def check(
    kind: type[T], values: object, where: str, *, settings: Sequence[str] = (), error: type[PeakdayError] = YamlError
) -> T:
    """The values as a `kind`.

    Args:
        settings: the `--set` texts applied to them, to name the one at fault.
        error: the class of what is raised.
    Raises:
        PeakdayError: `error`, one line for the first problem, with how many others there are; these are its notes.
    """
    try:
        return TypeAdapter(kind).validate_python(values)
    except ValidationError as refused:
        raise refusal(error, list(_all_lines(TypeAdapter(kind), where, refused, values, settings))) from None
    except RecursionError:
        raise error(f"{where}: nested too deeply; a few levels are enough") from None


def _all_lines(
    adapter: TypeAdapter[object], where: str, refused: ValidationError, values: object, settings: Sequence[str]
) -> list[str]:
    """Every line: also of what shows only once unknown keys are gone, since they end the check of their mapping."""
    lines = _lines(where, refused, values, settings)
    known = _without(values, frozenset(_unknown(refused, values)))
    if known != values:
        try:
            adapter.validate_python(known)
        except ValidationError as others:
            lines += [line for line in _all_lines(adapter, where, others, known, settings) if line not in lines]
    return lines


def _unknown(refused: ValidationError, values: object) -> Iterator[tuple[str, ...]]:
    """Where the keys stand that were refused as unknown, by pydantic or by a check that lists them as `keys`."""
    for problem in refused.errors(include_url=False, include_context=True):
        place = tuple(_place(problem["loc"], values)[0])
        if problem["type"] == "extra_forbidden":
            yield place
        else:
            yield from ((*place, key) for key in problem.get("ctx", {}).get("keys", ()))


def _without(values: object, paths: frozenset[tuple[str, ...]], here: tuple[str, ...] = ()) -> object:
    """The same nested values without what stands at these paths."""
    if isinstance(values, dict):
        return {
            key: _without(value, paths, (*here, str(key)))
            for key, value in values.items()
            if (*here, str(key)) not in paths
        }
    if isinstance(values, list):
        return [_without(value, paths, (*here, str(place))) for place, value in enumerate(values)]
    return values


def _lines(where: str, error: ValidationError, values: object, settings: Sequence[str] = ()) -> list[str]:
    """One line for each place that has a problem, with its fix."""
    lines: dict[str, str] = {}
    for problem in error.errors(include_url=False, include_context=True):
        path, value = _place(problem["loc"], values)
        key = ".".join(path)
        if key not in lines:
            lines[key] = _line(where, key, value, _sentence(problem), settings)
    return list(lines.values())


def _line(where: str, key: str, value: object, sentence: str, settings: Sequence[str]) -> str:
    by = next((setting for setting in settings if key and setting.partition("=")[0].strip() == key), None)
    if by is not None:
        return f"{where}: --set {by}: {sentence}"
    plain = value is not None and not isinstance(value, (dict, list)) and _shown(value) not in sentence
    return ": ".join([where, *([key] if key else []), *([_shown(value)] if plain else []), sentence])


def _sentence(problem: ErrorDetails) -> str:
    context = problem.get("ctx", {})
    if problem["type"].startswith("datetime"):
        return _A_TIME
    if problem["type"] == "value_error":  # a check of our own
        return str(context["error"])
    sentence = _SENTENCES.get(problem["type"], problem["msg"])
    return sentence if isinstance(sentence, str) else sentence(context)


def _place(location: tuple[int | str, ...], values: object) -> tuple[list[str], object]:
    """Pydantic's location as the file's keys, without names of union members, and the value there."""
    path: list[str] = []
    for depth, step in enumerate(location):
        here = values if isinstance(values, dict) else dict(enumerate(values)) if isinstance(values, list) else {}
        if step in here:
            values = here[step]
        elif depth == len(location) - 1 and isinstance(values, dict) and values.get("kind") != step:
            values = None  # a missing key
        else:
            continue  # the tag of a union, which is no key
        path.append(str(step))
    return path, values


def _shown(value: object) -> str:
    """A value as the file has it, cut when long."""
    try:
        text = value.isoformat() if isinstance(value, date) else repr(value)
    except ValueError:  # a number of more digits than Python writes
        text = "a number of so many digits"
    return text if len(text) <= 60 else text[:57] + "..."
