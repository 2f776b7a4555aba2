"""What a shell completes: verbs and options by Typer, scenarios and records by their names here."""

from __future__ import annotations

import enum
import os
from importlib.resources import files

from peakday.records.folders import KINDS, records

PROGRAM = "peakday"
VARIABLE = "_PEAKDAY_COMPLETE"
"""Set by a shell's script when it asks what may follow."""


class Shell(enum.StrEnum):
    """Shells that Typer completes in."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


def script(shell: Shell) -> str:
    """What the shell is to run so that it completes `peakday`."""
    from typer.completion import get_completion_script  # type: ignore[attr-defined] # re-exported, unmarked

    return get_completion_script(prog_name=PROGRAM, complete_var=VARIABLE, shell=shell)


def answer_a_shell() -> None:
    """Make the shells known, where one of them asks; costs nothing otherwise."""
    if VARIABLE in os.environ:
        from typer.completion import completion_init  # type: ignore[attr-defined] # likewise

        completion_init()


def scenario_names(incomplete: str) -> list[str]:
    """Scenarios of the library that begin so; where none does, the shell offers files."""
    names = [entry.name.removesuffix(".yaml") for entry in files("scenarios").joinpath("library").iterdir()]
    return sorted(name for name in names if name.startswith(incomplete))


def record_names(incomplete: str) -> list[str]:
    """`latest`, and IDs of runs, plans and benches of this folder that begin so, newest first."""
    names = [path.name for kind in KINDS for path in records(kind)]
    return [name for name in ("latest", *sorted(names, reverse=True)) if name.startswith(incomplete)]
