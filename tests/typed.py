"""Commands as they stand in a page, and as the command's own parser reads them."""

import re
import shlex
from collections.abc import Iterator, Sequence
from functools import cache

import typer

from peakday.cli import app


@cache
def root() -> typer.core.TyperGroup:
    """The one app as a command, made once: it takes a fifth of a second."""
    return typer.main.get_command(app)


def parsed(words: Sequence[str]) -> typer.Context:
    """The context that the command's own parser makes of the words; an unknown option or verb is an error."""
    command, context = root(), None
    name, rest = words[0], words[1:]
    while True:
        context = command.make_context(name, list(rest), parent=context)
        if not hasattr(command, "resolve_command"):
            return context
        left = [*getattr(context, "_protected_args", ()), *context.args]
        name, command, rest = command.resolve_command(context, left)


def fenced_commands(text: str) -> Iterator[list[str]]:
    """Every command of every fenced block of a page, from top to bottom, as words without its comment."""
    for block in re.findall(r"^```\w*\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL):
        for line in block.splitlines():
            if re.match(r"(peakday|make|pip) ", line):
                yield shlex.split(line, comments=True)
