"""Checks tool arguments against their JSON schema: the few keywords our tools use, and no coercion.

Source of the keywords' meaning: JSON Schema 2020-12, sections 6 (validation) and 10.3 (objects).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_TYPES: dict[str, tuple[type, ...]] = {"string": (str,), "integer": (int,), "number": (int, float)}


def problem(schema: Mapping[str, Any], arguments: Mapping[str, Any]) -> str | None:
    """What is wrong with the arguments, as one line for the model to act on; None when they fit."""
    properties: Mapping[str, Any] = schema["properties"]
    for name in schema.get("required", ()):
        if name not in arguments:
            return f"{name} is required"
    alternatives = schema.get("oneOf")
    if alternatives:
        names = [option["required"][0] for option in alternatives]
        if sum(name in arguments for name in names) != 1:
            return f"give exactly one of {', '.join(names)}"
    for name, value in arguments.items():
        if name not in properties:
            return f"unknown argument {name[:40]!r}; known: {', '.join(properties)}"
        if wrong := _value_problem(properties[name], value):
            return f"{name} {wrong}"
    return None


def _value_problem(rule: Mapping[str, Any], value: Any) -> str | None:
    kind = rule["type"]
    if type(value) not in _TYPES[kind]:
        return f"must be {'an' if kind == 'integer' else 'a'} {kind}"
    if kind == "string":
        if not rule.get("minLength", 1) <= len(value) <= rule["maxLength"]:
            return f"must have {rule.get('minLength', 1)} to {rule['maxLength']} characters"
        if "enum" in rule and value not in rule["enum"]:
            return f"must be one of {', '.join(rule['enum'])}"
        return None
    # A NaN fails both comparisons, as it should.
    if not rule["minimum"] <= value <= rule["maximum"]:
        return f"must be from {rule['minimum']} to {rule['maximum']}"
    return None
