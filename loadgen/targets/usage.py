"""Figures that a target reports, checked where they come in: what cannot be one makes the answer `malformed`."""

from __future__ import annotations

from collections.abc import Mapping

from loadgen.transport.answer import BadAnswer

TOKENS_MAX = 1 << 40
"""More tokens than any call can have: a figure beyond it is an error, and sums of millions stay within int64."""
DIGITS_MAX = len(str(TOKENS_MAX))
FIGURE_MAX = 1e9
"""Seconds or dollars of one turn: thirty years, and more than any bill. A choice of ours."""


def tokens(usage: Mapping[str, object], *names: str) -> int | None:
    """The first of these counts that is there; None without any.

    Raises:
        BadAnswer: it is no whole number, negative, or beyond `TOKENS_MAX`.
    """
    for name in names:
        value = usage.get(name)
        if value is not None:
            return count(value, name)
    return None


def spoken_tokens(told: int | None, first_ns: int) -> int | None:
    """Output tokens as told; None where none are told of an answer that said something: its server counts nothing."""
    return None if not told and first_ns else told


def count(value: object, name: str) -> int:
    """A count; a float that is a whole number is one too, and so is one that a gateway wrote as text.

    Raises:
        BadAnswer: anything else.
    """
    written = isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= DIGITS_MAX
    if written or (isinstance(value, float) and value.is_integer()):
        value = int(value)  # type: ignore[call-overload]
    if type(value) is not int or not 0 <= value <= TOKENS_MAX:
        raise BadAnswer(f"{name} is no count: {_shown(value)}")
    return value


def figure(value: object, name: str) -> float:
    """Seconds, dollars or a share.

    Raises:
        BadAnswer: no number, negative, infinite, or beyond `FIGURE_MAX`.
    """
    if (type(value) is float or type(value) is int) and 0 <= value <= FIGURE_MAX:
        return float(value)
    raise BadAnswer(f"{name} is no figure: {_shown(value)}")


def _shown(value: object) -> str:
    return repr(value)[:60]
