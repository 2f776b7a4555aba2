"""What costs money or touches an account: said first with its price, and done only with `--live`."""

from __future__ import annotations

import sys
from dataclasses import dataclass

from peakday.console import Console
from peakday.errors import CommandError


@dataclass(frozen=True)
class Consent:
    """How far this command was allowed to go: `--live`, and `--yes` where nobody is there to be asked."""

    live: bool = False
    yes: bool = False


NO_CONSENT = Consent()


def require_live(consent: Consent, what: str, cost: str, console: Console) -> None:
    """Return when the account may be used; it is called before any client of AWS is made.

    Args:
        what: what is about to happen, as a sentence without its stop, such as "1,200 turns on Bedrock in us-east-1".
        cost: what it is expected to cost, such as "12.40 USD (9.10 to 18.00), list prices" or "nothing: it only reads".

    Raises:
        CommandError: `--live` is missing, nobody is there to ask and `--yes` is missing, or the answer was no.
    """
    if not consent.live:
        raise CommandError(f"{what}: needs --live. Expected cost: {cost}")
    console.say(f"{what}. Expected cost: {cost}")
    if consent.yes:
        return
    if not sys.stdin.isatty():
        raise CommandError(f"{what}: nobody is here to be asked; add --yes")
    print("Go on? [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise CommandError(f"{what}: not begun")
