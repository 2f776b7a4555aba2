"""HTML that cannot be broken by what it shows: text is escaped unless it is `Html`."""

from __future__ import annotations

import html
from collections.abc import Iterable

_VOID = ("meta", "br", "hr", "link")


class Html(str):
    """Text that is HTML already."""

    __slots__ = ()


def escape(value: object) -> Html:
    """Any value as HTML text; `Html` passes as it is."""
    return value if isinstance(value, Html) else Html(html.escape(str(value)))


def join(parts: Iterable[object], between: str = "") -> Html:
    """Parts escaped and put together; None is left out."""
    return Html(between.join(escape(part) for part in parts if part is not None))


def tag(name: str, /, *children: object, **attributes: object) -> Html:
    """One element. In attribute names `_` becomes `-`, a trailing one is dropped; None or False leaves one out."""
    pairs = []
    for key, value in attributes.items():
        if value is None or value is False:
            continue
        label = key.rstrip("_").replace("_", "-")
        pairs.append(f" {label}" if value is True else f' {label}="{html.escape(str(value))}"')
    opening = f"<{name}{''.join(pairs)}>"
    return Html(opening if name in _VOID else f"{opening}{join(children)}</{name}>")
