"""Values that satisfy a JSON schema: the arguments of a tool, or a whole structured answer.

Seeded, and as near to the customer's words as the schema lets them be: quoted text, names and figures of the message
are dealt out in their order. Read are types, enum, const, properties, items, bounds, lengths, patterns, formats,
references, allOf, and the first of anyOf or oneOf that is not null. Not read: not, if/then, contains, propertyNames.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from random import Random
from typing import Any

from emulator.language.pattern_texts import text_for

Schema = Mapping[str, Any]
"""Whatever a request gives: a keyword of another kind fails where it is used, as `UnusableSchemaError`."""

_DEEPEST = 6
_TRIES = 50
_QUOTED = re.compile(r"[\"“«]([^\"”»]+)[\"”»]|(?<!\w)'([^']+)'(?!\w)|`([^`]+)`")
_NAME = re.compile(r"(?<![.!?] )(?<!^)\b[A-Z][\w-]*(?: (?:[A-Z][\w-]*))*")
_FIGURE = re.compile(r"-?\d+(?:\.\d+)?")
_SUM = re.compile(r"[\d(][\d\s.+*/()^-]*[\d)]")
_WHOLE = ("query", "question", "message", "text", "prompt", "input", "request", "q")
_SUMS = ("expression", "formula", "equation", "calculation")
_FORMATS = {
    "date": "2026-11-27", "date-time": "2026-11-27T09:00:00Z", "time": "09:00:00Z", "duration": "P1D",
    "email": "customer@example.com", "idn-email": "customer@example.com", "hostname": "example.com",
    "uri": "https://example.com/", "url": "https://example.com/", "uri-reference": "/", "ipv4": "127.0.0.1",
    "ipv6": "::1",
    "uuid": "00000000-0000-4000-8000-000000000000", "json-pointer": "/a", "regex": "a", "byte": "YQ==",
}  # fmt: skip
_KEYS_OF = {
    "object": ("properties", "required", "additionalProperties", "minProperties"),
    "array": ("items", "prefixItems", "minItems", "maxItems", "uniqueItems"),
    "string": ("pattern", "minLength", "maxLength", "format"),
    "number": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
}


class UnusableSchemaError(ValueError):
    """A schema that is none, or that no value satisfies."""


def value_for(schema: object, words: str, random: Random) -> object:
    """A value that satisfies the schema, from the words of a message where it can be.

    Raises:
        UnusableSchemaError: a keyword of the wrong type, or nested too deeply.
    """
    try:
        return _Maker(schema, words, random).value(schema, "", 0)
    except (
        TypeError,
        ValueError,
        AttributeError,
        IndexError,
        OverflowError,
        ZeroDivisionError,
        RecursionError,
    ) as error:
        raise UnusableSchemaError(f"the JSON schema cannot be used: {error}") from None


class _Maker:
    """Fills one schema; names and figures of the message are used once each."""

    def __init__(self, root: object, words: str, random: Random) -> None:
        self._root, self._random = root, random
        self._words = words
        self._names = _names(words)
        self._figures = (float(found) for found in _FIGURE.findall(words))

    def value(self, stated: object, name: str, depth: int) -> object:
        """A value of a schema that stands under `name`."""
        schema = self._merged(stated, depth)
        if "const" in schema:
            return schema["const"]
        if schema.get("enum"):
            return self._chosen(schema["enum"])
        kind = _kind(schema)
        if kind == "object":
            return self._object(schema, depth)
        if kind == "array":
            return self._array(schema, name, depth)
        if kind in ("integer", "number"):
            return self._number(schema, kind == "integer")
        if kind == "string":
            return self._string(schema, name)
        return {"boolean": True, "null": None}.get(kind)

    def _merged(self, schema: object, depth: int) -> Schema:
        """The schema with its reference followed, allOf joined, and one alternative chosen."""
        if not isinstance(schema, Mapping):
            return {}
        found: Schema = schema
        for _ in range(_TRIES):
            if isinstance(found.get("$ref"), str):
                found = _joined(self._referred(found["$ref"]), _without(found, "$ref"))
            elif isinstance(found.get("allOf"), list):
                parts, found = found["allOf"], _without(found, "allOf")
                for part in parts:
                    found = _joined(found, part)
            elif options := found.get("anyOf") or found.get("oneOf"):
                found = _joined(_without(found, "anyOf", "oneOf"), self._alternative(options, depth))
            else:
                return found
        return found

    def _alternative(self, options: Sequence[object], depth: int) -> object:
        """The first that is not null; too deep down, the first that is no reference."""
        plain = [option for option in options if isinstance(option, Mapping) and option.get("type") != "null"]
        if depth >= _DEEPEST:
            return next((option for option in options if isinstance(option, Mapping) and "$ref" not in option), {})
        return plain[0] if plain else options[0]

    def _referred(self, reference: str) -> Schema:
        node = self._root
        for part in reference.removeprefix("#").strip("/").split("/"):
            key = part.replace("~1", "/").replace("~0", "~")
            if key:
                node = node.get(key) if isinstance(node, Mapping) else None
        return node if isinstance(node, Mapping) else {}

    def _chosen(self, options: Sequence[object]) -> object:
        """An option that the message names, else any."""
        low = self._words.lower()
        named = [option for option in options if isinstance(option, str) and option and option.lower() in low]
        return named[0] if named else self._random.choice(list(options))

    def _object(self, schema: Schema, depth: int) -> dict[str, object]:
        properties = schema.get("properties")
        properties = properties if isinstance(properties, Mapping) else {}
        wanted = _texts(schema.get("required"))
        if not wanted and depth <= 1:
            wanted = list(properties)
        for name in list(properties):
            if len(wanted) < int(schema.get("minProperties") or 0) and name not in wanted:
                wanted.append(name)
        extra = schema.get("additionalProperties")
        made = {name: self.value(properties.get(name, extra), name, depth + 1) for name in wanted}
        for number in range(int(schema.get("minProperties") or 0) - len(made)):
            made[f"key_{number + 1}"] = self.value(extra, "", depth + 1)
        return made

    def _array(self, schema: Schema, name: str, depth: int) -> list[object]:
        heads = schema.get("prefixItems") or []
        least = int(schema.get("minItems") or 0)
        count = max(least, len(heads), 1 if depth < _DEEPEST else 0)
        count = min(count, int(schema.get("maxItems", count)))
        made: list[object] = []
        for at in range(count):
            item = heads[at] if at < len(heads) else schema.get("items")
            for _ in range(_TRIES):
                value = self.value(item, name.removesuffix("s"), depth + 1)
                if not schema.get("uniqueItems") or value not in made:
                    made.append(value)
                    break
        return made

    def _number(self, schema: Schema, whole: bool) -> float:
        step = schema.get("multipleOf") or (1 if whole else 0)
        low, high = _bounds(schema, step if step else 0.5)
        figure = next((figure for figure in self._figures if low <= figure <= high), None)
        if figure is None or (step and figure % step):
            first = low if math.isfinite(low) else min(high, 1.0)
            figure = first if not step else math.ceil(first / step) * step
            room = min(9.0, (high if math.isfinite(high) else first + 9) - figure)
            figure += self._random.randint(0, max(0, int(room / (step or 1)))) * (step or 1)
        if figure > high and step:
            figure = math.floor(high / step) * step
        return int(figure) if whole or float(figure).is_integer() else figure

    def _string(self, schema: Schema, name: str) -> str:
        least, most = int(schema.get("minLength") or 0), int(schema.get("maxLength", 10_000))
        form = schema.get("format")
        if isinstance(form, str) and form in _FORMATS:
            return _uuid(self._random) if form == "uuid" else _FORMATS[form]
        if isinstance(schema.get("pattern"), str):
            made = text_for(schema["pattern"], self._random, least, most)
            if made is not None:
                return made
        text = self._said(name) or name or "text"
        while len(text) < least:
            text += f" {text}"
        return text[: max(least, most) if most >= least else most]

    def _said(self, name: str) -> str:
        """What the message has for a text of this name."""
        last = re.split(r"[_\W]", name.lower())[-1] if name else ""
        if last in _SUMS and (found := _SUM.search(self._words)):
            return found[0].strip()
        if last in _WHOLE:
            return self._words
        return next(self._names, "") or self._words[:200]


def _names(words: str) -> Iterator[str]:
    """Quoted texts, then names: words with a capital that begin no sentence."""
    yield from (next(part for part in found if part) for found in _QUOTED.findall(words))
    yield from (found for found in _NAME.findall(words) if found != "I")


def _kind(schema: Schema) -> str:
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = next((one for one in kind if one != "null"), "null")
    if isinstance(kind, str):
        return kind
    return next((name for name, keys in _KEYS_OF.items() if any(key in schema for key in keys)), "object")


def _bounds(schema: Schema, beyond: float) -> tuple[float, float]:
    """The least and the greatest number; an exclusive bound is passed by `beyond`, or by half of what is between."""
    low, high = float(schema.get("minimum", -math.inf)), float(schema.get("maximum", math.inf))
    above, below = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
    if isinstance(above, int | float) and not isinstance(above, bool):
        limit = float(below) if isinstance(below, int | float) else high
        low = max(low, above + min(beyond, (limit - above) / 2 if math.isfinite(limit) else beyond))
    if isinstance(below, int | float) and not isinstance(below, bool):
        high = min(high, below - min(beyond, (below - low) / 2 if math.isfinite(low) else beyond))
    return low, high


def _without(schema: Schema, *keys: str) -> Schema:
    return {key: value for key, value in schema.items() if key not in keys}


def _joined(first: Schema, second: object) -> Schema:
    """Both schemas in one: properties and required of both, the narrower of two bounds, else the second's word."""
    if not isinstance(second, Mapping):
        return dict(first)
    made = {**first, **second}
    for key in ("properties", "$defs", "definitions"):
        if isinstance(first.get(key), Mapping) and isinstance(second.get(key), Mapping):
            made[key] = {**first[key], **second[key]}
    if "required" in first and "required" in second:
        made["required"] = [*_texts(first["required"]), *_texts(second["required"])]
    for key, narrower in (
        ("minimum", max),
        ("minLength", max),
        ("minItems", max),
        ("maximum", min),
        ("maxLength", min),
    ):
        if key in first and key in second:
            made[key] = narrower(first[key], second[key])
    return made


def _texts(value: object) -> list[str]:
    """The texts of a list, each once."""
    return list(dict.fromkeys(item for item in value if isinstance(item, str))) if isinstance(value, list) else []


def _uuid(random: Random) -> str:
    digits = f"{random.getrandbits(128):032x}"
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-8{digits[17:20]}-{digits[20:]}"
