"""Pydantic's findings in the words of a scenario's author: file, key, value, what is expected."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from typing import Any

from pydantic import ValidationError

_A_TIME = "expected a time with its zone, such as 2025-07-08T00:00:00-07:00"
_A_MAPPING = "expected a mapping of keys to values"
_WORDS: dict[str, str | Callable[[Mapping[str, Any]], str]] = {
    "missing": "missing; add it",
    "greater_than": lambda ctx: f"expected above {ctx['gt']:g}",
    "greater_than_equal": lambda ctx: f"expected {ctx['ge']:g} or more",
    "less_than": lambda ctx: f"expected below {ctx['lt']:g}",
    "less_than_equal": lambda ctx: f"expected {ctx['le']:g} or less",
    "finite_number": "expected a finite number",
    "float_parsing": "expected a number",
    "float_type": "expected a number",
    "int_parsing": "expected a whole number",
    "int_type": "expected a whole number",
    "int_from_float": "expected a whole number",
    "string_type": "expected text; put it in quotes",
    "bool_parsing": "expected true or false",
    "bool_type": "expected true or false",
    "list_type": "expected a list, such as [a, b]",
    "dict_type": _A_MAPPING,
    "model_type": _A_MAPPING,
    "model_attributes_type": _A_MAPPING,
    "too_short": lambda ctx: f"expected at least {ctx['min_length']}",
    "literal_error": lambda ctx: f"expected {ctx['expected']}",
    "union_tag_invalid": lambda ctx: f"unknown kind {ctx['tag']!r}; expected {ctx['expected_tags']}",
    "union_tag_not_found": "kind: missing; add it",
    "string_pattern_mismatch": "expected small letters, digits and _, beginning with a letter",
    "timezone_aware": _A_TIME,
}


def one_line(where: str, error: ValidationError, values: Mapping[str, Any], settings: list[str]) -> str:
    """The first problem, with its fix, and how many other places have one.

    Args:
        where: the file.
        error: what the schema refused.
        values: the file's values, settings applied.
        settings: the `--set` texts, to name the one at fault.
    """
    found = error.errors(include_url=False, include_context=True)
    first = found[0]
    path, value = _place(first["loc"], values)
    key = ".".join(path)
    others = len({".".join(_place(item["loc"], values)[0]) for item in found}) - 1
    more = f" (and {others} more)" if others else ""
    by = next((setting for setting in settings if key and setting.partition("=")[0].strip() == key), None)
    words = _words(first)
    if by is not None:
        return f"{where}: --set {by}: {words}{more}"
    plain = value is not None and not isinstance(value, (dict, list)) and _shown(value) not in words
    return ": ".join([where, *([key] if key else []), *([_shown(value)] if plain else []), words]) + more


def _words(item: Mapping[str, Any]) -> str:
    context = item.get("ctx", {})
    if item["type"].startswith("datetime"):
        return _A_TIME
    if item["type"] == "value_error":  # a check of our own
        return str(context["error"])
    words = _WORDS.get(item["type"], item["msg"])
    return words if isinstance(words, str) else words(context)


def _place(location: tuple[int | str, ...], values: Any) -> tuple[list[str], Any]:
    """Pydantic's location as the file's keys, without names of union members, and the value found there."""
    path: list[str] = []
    for depth, step in enumerate(location):
        if step in values if isinstance(values, dict) else isinstance(values, list) and step in range(len(values)):
            values = values[step]
        elif depth == len(location) - 1 and isinstance(values, dict) and values.get("kind") != step:
            values = None  # a missing key
        else:
            continue  # the tag of a union, which is no key
        path.append(str(step))
    return path, values


def _shown(value: object) -> str:
    """A value as the file has it, cut when long."""
    text = value.isoformat() if isinstance(value, date) else repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
