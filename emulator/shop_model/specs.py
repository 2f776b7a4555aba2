"""What words state of goods, by dimension: a size, a colour, a figure with its unit; and which goods state the same."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache, lru_cache

from emulator.shop_model.slots import NOT
from emulator.shop_model.words import fold, holds, lexicon

_SIZES = {
    "xs": ("xs", "extra small"), "s": ("s", "small"), "m": ("m", "medium"), "l": ("l", "large"),
    "xl": ("xl", "extra large"), "xxl": ("xxl", "2xl"),
}  # fmt: skip
_SIZE_OF = {form: size for size, forms in _SIZES.items() for form in forms}
_SIZE = re.compile(
    r"\b(?:(extra small|extra large|small|medium|large|xs|xl|xxl|2xl)|"
    r"(?:size|in|in an?|the|an?) (s|m|l))\b(?! (?:fee|change|one of|business|talk|town))|^(?:and |ok |or |, )*(s|m|l)(?: please| one)?[ ?.!]*$"
)
"""One letter is a size where nothing else can stand: `in M`, `size L`, `the s one`, or alone."""
_UNITS = (
    (r"inch(?:es)?", "inch"), (r"w|watt|wattage", "w"), (r"v|volts?|voltage", "v"), (r"h|hr|hrs|hours?", "h"),
    (r"kg|kilos?", "kg"), (r"ah", "ah"), (r"mah", "mah"), (r"mm", "mm"), (r"rpm", "rpm"), (r"seasons?", "season"),
    (r"years?(?= (?:warranty|guarantee))", "year"),
)  # fmt: skip
_UNIT_OF = [(re.compile(form), unit) for form, unit in _UNITS]
_FIGURE = re.compile(
    rf"\b(\d+(?:[.,]\d+)?|two|three|four)[ -]?({'|'.join(form for form, _ in _UNITS)})(?![a-z])|\b(?:packs? of (\d+)|(\d+)[ -]pack)\b"
)
_WORDS = {"two": "2", "three": "3", "four": "4", "2": "two", "3": "three", "4": "four"}
_DIMENSIONS = ("colour", "material", "connection", "scent", "diet", "flavour", "roast", "level", "skin")
"""Traits whose values are words of a title."""


@cache
def _values() -> Mapping[str, str]:
    """Dimension by the word that names a value of it."""
    traits = lexicon().traits
    return {value: name for name in _DIMENSIONS for value in traits[name][1]}


def wanted(text: str) -> dict[str, frozenset[str]]:
    """The values that words name, by dimension; what is expressly not meant is left out."""
    return {name: frozenset(forms) for name, forms in _wanted(text)}


@lru_cache(1024)
def _wanted(text: str) -> tuple[tuple[str, tuple[str, ...]], ...]:
    plain = NOT.sub(" ; ", text)
    found: dict[str, list[str]] = {}
    for match in _SIZE.finditer(plain):
        found.setdefault("size", []).extend(_SIZES[_SIZE_OF[match[1] or match[2] or match[3]]])
    for match in _FIGURE.finditer(plain):
        if pack := match[3] or match[4]:
            found.setdefault("size", []).append(f"pack of {pack}")
            continue
        unit = next(unit for form, unit in _UNIT_OF if form.fullmatch(match[2]))
        figures = (match[1], *((_WORDS[match[1]],) if match[1] in _WORDS else ()))
        found.setdefault(unit, []).extend(f"{figure} {unit}" for figure in figures)
    values = _values()
    for word in re.findall(r"[a-z][a-z-]*", plain):
        if word in _SIZE_OF and "size" in found:
            continue
        name = values.get(word) or values.get(word.split("-")[0])
        if name is not None:
            found.setdefault(name, []).append(word)
    return tuple((name, tuple(forms)) for name, forms in found.items())


def meets(row: Mapping[str, object], specs: Mapping[str, Iterable[str]]) -> bool:
    """Whether a product states one of the values wanted of every dimension."""
    if not specs:
        return True
    attributes = row.get("attributes")
    held = attributes.values() if isinstance(attributes, Mapping) else ()
    parts = [fold(part).strip() for part in (*str(row.get("title") or "").split(","), *map(str, held))]
    return all(any(_states(parts, name, form) for form in forms) for name, forms in specs.items())


def _states(parts: Sequence[str], name: str, form: str) -> bool:
    if name == "size":
        return form in parts
    if form[0].isdigit() or " " in form:
        return any(re.search(rf"(?<![\d.]){form}s?\b", part) for part in parts)
    return any(holds(part, form) for part in parts)


def without(text: str, further: str) -> str:
    """The words without the values of those dimensions that further words name anew: `small` before `in large`."""
    new = wanted(further)
    if "size" in new:
        text = without_size(text)
    for name, forms in wanted(text).items():
        if name in new and name != "size":
            text = re.sub(r"\b(?:" + "|".join(map(re.escape, forms)) + r")\b", " ", text)
    return " ".join(text.split())


def without_size(text: str) -> str:
    """The words without a size."""
    return " ".join(_SIZE.sub(" ", text).split())


def rest(text: str) -> str:
    """The words that are left without sizes and figures with units."""
    return " ".join(_FIGURE.sub(" ", _SIZE.sub(" ", text)).split())
