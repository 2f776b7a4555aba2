"""What is rejected before any model is asked, by plain patterns. `pass` lets a message through.

This is a first gate, not a moderation service: it catches attempts to change the assistant's orders or to reach other
accounts, and customers who paste card numbers, which must not travel to a model or a log.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

PASS = "pass"  # noqa: S105 (a word, no password)


@dataclass(frozen=True, slots=True)
class GuardResult:
    """`action`: pass, mask or refuse. `message`: what may go on. `answer`: what to say instead, when refused."""

    action: str
    message: str
    answer: str | None = None


_OVERRIDE = re.compile(
    r"\b(ignore|disregard|forget)\b.{0,30}\b(previous|prior|above|your|all)\b.{0,20}\b(instruction|rule|prompt)s?\b"
    r"|\b(reveal|print|repeat|show)\b.{0,20}\b(system|hidden)\b.{0,10}\b(prompt|instruction)s?\b",
    re.I | re.S,
)
_OTHER_ACCOUNT = re.compile(
    r"\b(orders?|account|address|payment|memory)\b.{0,20}\b(of|for)\b.{0,15}\b(customer|account|user)\s*(id|number|no\.?)?"
    r"\s*[:#]?\s*c?\d{3,}",
    re.I | re.S,
)
_CARD = re.compile(r"(?<![\d-])(?:\d[ -]?){12,18}\d(?![\d-])")
_REFUSAL_RULES = "I can't change how I work, but I'm glad to help you shop. What are you looking for?"
_REFUSAL_ACCOUNT = "I can only help with the account that is signed in here. What can I do for you on it?"


def check(message: str) -> GuardResult:
    """Judge one message."""
    if _OVERRIDE.search(message):
        return GuardResult("refuse", message, _REFUSAL_RULES)
    if _OTHER_ACCOUNT.search(message):
        return GuardResult("refuse", message, _REFUSAL_ACCOUNT)
    masked = _CARD.sub(lambda match: "[card number removed]" if _luhn(match[0]) else match[0], message)
    return GuardResult("mask" if masked != message else PASS, masked)


def _luhn(text: str) -> bool:
    """Whether digits pass the check of payment card numbers. Source: ISO/IEC 7812-1, annex B."""
    digits = [int(character) for character in reversed(text) if character.isdigit()]
    doubled = (digit * 2 - 9 if digit > 4 else digit * 2 for digit in digits[1::2])
    return 13 <= len(digits) <= 19 and (sum(digits[::2]) + sum(doubled)) % 10 == 0
