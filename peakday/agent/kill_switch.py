"""The kill switch of purchases by price, of a running assistant."""

from __future__ import annotations

from assistant.ask import auto_buy
from host.ports import is_loopback_url
from host.redaction import shown_url
from peakday.errors import CommandError

_STATES = {"": None, "on": True, "off": False}


def switch_auto_buy(target: str, state: str) -> tuple[str, dict[str, object]]:
    """Set it, or read it when `state` is empty; the text to print, and the same as data.

    Raises:
        CommandError: a word that is neither on nor off, or an assistant on another machine.
    """
    if not is_loopback_url(target):
        raise CommandError(
            f"{shown_url(target)}: the switch is served on loopback only; run this on the assistant's machine"
        )
    if state not in _STATES:
        raise CommandError(f"auto-buy: {state!r} is neither on nor off")
    switched = auto_buy(target, _STATES[state])
    rules = ", ".join(f"{count} {name}" for name, count in switched["rules"].items()) or "none"
    return f"auto-buy is {'on' if switched['enabled'] else 'off'}; rules: {rules}", switched
