"""Numbers as people read them: seconds and ratios inside, ms and % only here, where they are printed."""

from __future__ import annotations

import math

UNKNOWN = "–"
"""Printed for a value that is not known. Never zero."""

WHOLE_UNITS = ("chips", "instances", "replicas")
"""Things that nobody buys a part of: the end of a range is printed whole too."""
_CURRENCY_WHOLE_FROM = 1_000.0


def significant(value: float, digits: int = 3) -> str:
    """`value` with at least `digits` significant digits, thousands separated, never in exponent form."""
    if value == 0:
        return "0"
    decimals = digits - 1 - math.floor(math.log10(abs(value)))
    if decimals <= 0:
        return f"{value:,.0f}"
    text = f"{value:,.{decimals}f}"
    return text.rstrip("0").rstrip(".") if abs(value) >= 10**digits else text


def show(value: float | None, unit: str) -> str:
    """A value with its unit, as printed in every table, page and terminal.

    Args:
        value: in the unit's own scale (seconds, a share of one, USD); None or NaN prints as unknown.
        unit: s, ratio, per_s, usd, count, or any noun (tokens, chips), which is left to the label.
    """
    if value is None or not math.isfinite(value):
        return UNKNOWN
    if unit == "s":
        return _seconds(value)
    if unit == "ratio":
        return f"{significant(100 * value)}%" if abs(value) < 1 else f"{100 * value:,.0f}%"
    if unit in ("per_s", "1/s"):
        return f"{significant(value)}/s"
    if unit.lower().startswith("usd"):
        per = unit[3:] if unit[3:].startswith("/") else ""
        return (f"${value:,.0f}" if abs(value) >= _CURRENCY_WHOLE_FROM else f"${significant(value)}") + per
    return f"{value:,.0f}" if unit in WHOLE_UNITS or float(value).is_integer() else significant(value)


def _seconds(value: float) -> str:
    if value == 0:
        return "0 s"
    return f"{significant(value * 1000)} ms" if abs(value) < 0.1 else f"{significant(value)} s"


def clock(offset_s: float, span_s: float = 0.0) -> str:
    """An offset from the start of the window or event: `0:42`, `3:05:00`, `2d 04:00:00`.

    Args:
        span_s: length of the whole axis: from an hour on every offset shows its hours, so that 48:00 is never hours.
    """
    total = round(offset_s)
    days, rest = divmod(total, 86_400)
    hours, rest = divmod(rest, 3_600)
    minutes, seconds = divmod(rest, 60)
    if days:
        return f"{days}d {hours:02d}:{minutes:02d}:{seconds:02d}"
    if hours or span_s >= 3_600:
        return f"{hours}:{minutes:02d}:{seconds:02d}"
    return f"{minutes}:{seconds:02d}"
