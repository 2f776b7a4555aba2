"""The one gate before the record: nothing that a target sent reaches a row, a counter or a budget unless it fits there.

A value of another type or size becomes null, and a turn that was answered with it is `malformed`; a text that is too
long is cut. So a target can spoil its own turns and nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from loadgen.tables import TABLES
from loadgen.targets.assistant import META
from loadgen.targets.usage import FIGURE_MAX, TOKENS_MAX
from loadgen.transport.answer import Answer

TEXT_LENGTH_MAX = 200
"""Characters of a name or a code in a row: such texts are labels and keys of totals. A choice of ours."""
KEPT_TEXT_LENGTH_MAX = 100_000
"""Characters of a question or an answer in `texts`."""
CALLS_MAX = 256
"""Model calls and tool calls that one turn may report; our own assistant is limited to far fewer."""
_MALFORMED = "malformed"


def _str(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError
    value.encode()  # half of a surrogate pair cannot be written
    return value[:TEXT_LENGTH_MAX]


def _int(value: object) -> int:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if type(value) is not int or not 0 <= value <= TOKENS_MAX:
        raise ValueError
    return value


def _float(value: object) -> float:
    if (type(value) is float or type(value) is int) and 0 <= value <= FIGURE_MAX:
        return float(value)
    raise ValueError


def _bool(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError
    return value


class _Cell(NamedTuple):
    """What fits a column: `fit` makes it so or raises. A number of exactly `type` in 0..`most` needs no making."""

    type: type
    most: float
    fit: Callable[[object], object]


_CELLS = {
    "str": _Cell(str, TEXT_LENGTH_MAX, _str),
    "int": _Cell(int, TOKENS_MAX, _int),
    "float": _Cell(float, FIGURE_MAX, _float),
    "bool": _Cell(bool, True, _bool),
}
_OF = {table: {name: _CELLS[kind] for name, kind in TABLES[table].items()} for table in ("turns", "calls", "tools")}
_META = {name: _OF["turns"][name] for name in META}


def screen(answer: Answer) -> None:
    """Make an answer fit for the record, before anything of it is counted, paid or remembered."""
    bad = _screen_mapping(answer.meta, _META)
    for name in ("output_tokens", "tpot_s", "cost_usd"):
        value = getattr(answer, name)
        if value is not None:
            try:
                setattr(answer, name, _OF["turns"][name].fit(value))
            except (ValueError, OverflowError):
                setattr(answer, name, None)
                bad = bad or name
    for rows, table in ((answer.calls, "calls"), (answer.tools, "tools")):
        if len(rows) > CALLS_MAX:
            del rows[CALLS_MAX:]
            bad = bad or table
        cells = _OF[table]
        for row in rows:
            bad = _screen_mapping(row, cells) or bad
    if answer.error_code is not None:
        answer.error_code = str(answer.error_code)[:TEXT_LENGTH_MAX].encode("utf-8", "replace").decode()
    if bad is not None and answer.status == "ok":
        answer.status = _MALFORMED
        answer.error_code = f"{_MALFORMED}:{bad}"
        answer.error_text = f"{bad} was not of its type or size"


def _screen_mapping(row: dict[str, object], cells: dict[str, _Cell]) -> str | None:
    """Null what does not fit; the first such column in the row's own order. What fits as it is costs no call."""
    bad = None
    for name, value in row.items():
        if value is None or name not in cells:
            continue
        kind, most, fit = cells[name]
        known: Any = value
        if type(value) is kind and (known.isascii() and len(known) <= most if kind is str else 0 <= known <= most):
            continue
        try:
            row[name] = fit(value)  # no key is added: the row may be walked meanwhile
        except (ValueError, OverflowError):
            row[name] = None
            bad = bad or name
    return bad


def fitting(table: str, row: Sequence[object]) -> list[object]:
    """A row of any table with what does not fit its columns as null: the reading end trusts no worker's file."""
    kinds = list(TABLES[table].values())
    return [_fitting(kind, value, table) for kind, value in zip(kinds, [*row, *[None] * len(kinds)], strict=False)]


def _fitting(kind: str, value: object, table: str) -> object:
    try:
        if value is None:
            return None
        if kind == "str":
            return str(value)[: KEPT_TEXT_LENGTH_MAX if table == "texts" else TEXT_LENGTH_MAX]
        if kind == "int":
            return value if type(value) is int and abs(value) < 1 << 62 else None
        if isinstance(value, bool):
            return value if kind == "bool" else None
        return float(value) if kind == "float" and isinstance(value, int | float) and math.isfinite(value) else None
    except (ValueError, OverflowError):
        return None
