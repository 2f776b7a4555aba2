"""The terminal of a conversation: one line in, text out as it comes."""

from __future__ import annotations

import sys


def read_line(prompt: str) -> str | None:
    """The next line; None at the end of the input or at Ctrl-C."""
    try:
        return input(prompt)
    except (EOFError, KeyboardInterrupt):
        return None


def write(text: str) -> None:
    """Text as it comes, without a new line of its own."""
    sys.stdout.write(text)
    sys.stdout.flush()
