"""Spreadsheet formulas that know their value: one expression gives the formula's text and the number cached beside it.

So a reader that does not calculate (a preview, pandas) shows the same numbers as LibreOffice and Python.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

Value = float | int | bool | str


@dataclass(frozen=True)
class Expr:
    """A formula without its `=`, and its value. Arithmetic on expressions builds both."""

    text: str
    value: Value

    @property
    def number(self) -> float:
        """The value of a numeric expression."""
        return float(self.value)

    def __add__(self, other: Expr | float) -> Expr:
        return _binary(self, "+", other, self.number + of(other).number)

    def __radd__(self, other: Expr | float) -> Expr:
        return of(other) + self

    def __sub__(self, other: Expr | float) -> Expr:
        return _binary(self, "-", other, self.number - of(other).number)

    def __rsub__(self, other: Expr | float) -> Expr:
        return of(other) - self

    def __mul__(self, other: Expr | float) -> Expr:
        return _binary(self, "*", other, self.number * of(other).number)

    def __rmul__(self, other: Expr | float) -> Expr:
        return of(other) * self

    def __truediv__(self, other: Expr | float) -> Expr:
        return _binary(self, "/", other, self.number / of(other).number)

    def __rtruediv__(self, other: Expr | float) -> Expr:
        return of(other) / self


def of(value: Expr | float) -> Expr:
    """A constant as an expression; an expression as it is."""
    return value if isinstance(value, Expr) else Expr(repr(value), value)


def _binary(left: Expr, sign: str, right: Expr | float, value: float) -> Expr:
    return Expr(f"({left.text}{sign}{of(right).text})", value)


def ceil(value: Expr) -> Expr:
    """Round up to a whole number, float noise rounded off first, as capacity does."""
    return Expr(f"ROUNDUP(ROUND({value.text},9),0)", math.ceil(round(value.number, 9)))


def floor(value: Expr) -> Expr:
    """Round down to a whole number, float noise rounded off first."""
    return Expr(f"ROUNDDOWN(ROUND({value.text},9),0)", math.floor(round(value.number, 9)))


def exp(value: Expr) -> Expr:
    """e to the power."""
    return Expr(f"EXP({value.text})", math.exp(value.number))


def total(parts: Iterable[Expr | float]) -> Expr:
    """The sum of parts; zero of none."""
    items = [of(part) for part in parts]
    if not items:
        return of(0.0)
    return Expr(f"SUM({','.join(item.text for item in items)})", math.fsum(item.number for item in items))


def highest(parts: Iterable[Expr]) -> Expr:
    """The largest of parts."""
    items = list(parts)
    return Expr(f"MAX({','.join(item.text for item in items)})", max(item.number for item in items))


def when(condition: Expr, then: Expr | float, otherwise: Expr | float) -> Expr:
    """One of two values; a value that is not chosen may be undefined."""
    chosen = of(then) if condition.value else of(otherwise)
    return Expr(f"IF({condition.text},{of(then).text},{of(otherwise).text})", chosen.value)


def below(left: Expr | float, right: Expr | float, *, or_equal: bool = False) -> Expr:
    """left < right, or left <= right."""
    a, b = of(left), of(right)
    value = a.number <= b.number if or_equal else a.number < b.number
    return Expr(f"({a.text}{'<=' if or_equal else '<'}{b.text})", value)


def close(left: Expr | float, right: Expr | float, relative: float = 1e-9) -> Expr:
    """True when two numbers agree to a relative error."""
    a, b = of(left), of(right)
    value = abs(a.number - b.number) <= relative * max(1.0, abs(b.number))
    return Expr(f"(ABS({a.text}-{b.text})<={relative!r}*MAX(1,ABS({b.text})))", value)


def either(*conditions: Expr) -> Expr:
    """True when any is."""
    return Expr(f"OR({','.join(c.text for c in conditions)})", any(bool(c.value) for c in conditions))


def both(*conditions: Expr) -> Expr:
    """True when all are."""
    return Expr(f"AND({','.join(c.text for c in conditions)})", all(bool(c.value) for c in conditions))
