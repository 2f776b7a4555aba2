"""Parts of a JSON value that somebody else wrote, each of the kind that is read: of another kind, there is none.

What has been checked before (by a schema, or by the service's own model) is read with these too: then nothing is lost.
"""

from __future__ import annotations

from collections.abc import Mapping


def mapping(value: object) -> Mapping[str, object]:
    """The keys and values of an object; none of anything else."""
    return value if isinstance(value, Mapping) else {}


def items(value: object) -> list[object]:
    """The items of a list; none of anything else."""
    return value if isinstance(value, list) else []


def objects(value: object) -> list[dict[str, object]]:
    """The objects among the items of a list."""
    return [item for item in items(value) if isinstance(item, dict)]


def text(value: object, default: str = "") -> str:
    """A text; the default in place of anything else."""
    return value if isinstance(value, str) else default


def number(value: object, default: float = 0.0) -> float:
    """A number; the default in place of anything else, true and false among them."""
    return value if isinstance(value, int | float) and not isinstance(value, bool) else default


def whole(value: object, default: int = 0) -> int:
    """A whole number; the default in place of anything else, true and false among them."""
    return value if isinstance(value, int) and not isinstance(value, bool) else default
