"""A text that a regular expression accepts, from the tree that Python's own parser makes of it."""

from __future__ import annotations

import re
from random import Random
from typing import Any

_PARSER = getattr(re, "_parser", None)  # no public name since Python 3.11
Node = Any  # of that parser's tree, which has no public types
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_CATEGORIES = {
    "CATEGORY_DIGIT": "0123456789", "CATEGORY_WORD": _LETTERS, "CATEGORY_SPACE": " ", "CATEGORY_NOT_SPACE": _LETTERS,
    "CATEGORY_NOT_DIGIT": _LETTERS, "CATEGORY_NOT_WORD": "-",
}  # fmt: skip
_PRINTED = "".join(map(chr, range(32, 127)))
_TRIES = 20


def text_for(pattern: str, random: Random, least: int = 0, most: int = 10_000) -> str | None:
    """A text of `least` to `most` letters in which the pattern is found; None where no try made one."""
    if _PARSER is None:
        return None
    try:
        tree, compiled = _PARSER.parse(pattern), re.compile(pattern)
    except (re.error, RecursionError, OverflowError):
        return None
    for more in range(_TRIES):
        made = "".join(_part(operator, argument, random, more) for operator, argument in tree)
        if least <= len(made) <= most and compiled.search(made):
            return made
    return None


def _part(operator: object, argument: Node, random: Random, more: int) -> str:
    """The text of one node; `more`: repetitions beyond the least, where the pattern allows them."""
    name = str(operator)
    if name == "LITERAL":
        return chr(argument)
    if name == "ANY":
        return random.choice(_LETTERS)
    if name == "IN":
        return random.choice(_class(argument))
    if name in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"):
        low, high, inner = argument
        count = low + min(more, int(high) - low)
        return "".join(_all(inner, random, more) for _ in range(count))
    if name == "SUBPATTERN":
        return _all(argument[-1], random, more)
    if name == "ATOMIC_GROUP":
        return _all(argument, random, more)
    if name == "BRANCH":
        return _all(random.choice(argument[1]), random, more)
    if name == "NOT_LITERAL":
        return "a" if argument != ord("a") else "b"
    return ""  # anchors, and what looks ahead: the search decides


def _all(tree: Node, random: Random, more: int) -> str:
    return "".join(_part(operator, argument, random, more) for operator, argument in tree)


def _class(items: Node) -> str:
    """The letters of a class, at most some hundred of them."""
    found, negated = "", False
    for operator, argument in items:
        name = str(operator)
        if name == "NEGATE":
            negated = True
        elif name == "LITERAL":
            found += chr(argument)
        elif name == "RANGE":
            found += "".join(map(chr, range(argument[0], min(argument[1], argument[0] + 100) + 1)))
        elif name == "CATEGORY":
            found += _CATEGORIES.get(str(argument), "")
    if negated:
        found = "".join(letter for letter in _LETTERS + _PRINTED if letter not in found)
    return found or "a"
