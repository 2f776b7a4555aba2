"""Options that every verb shares, so that they are spelled and explained once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from peakday.commands.completion import scenario_names

Json = Annotated[bool, typer.Option("--json", help="Print the result as one JSON document.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No remarks on stderr; a run tells its state every 10 s.")]
Details = Annotated[bool, typer.Option("--details", help="Print the rest of the numbers too, below the answer.")]
Seed = Annotated[int | None, typer.Option("--seed", min=0, help="Seed of everything random; default: the scenario's.")]
Sets = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="Override a scenario key, such as mix.image_ratio=0.1; repeatable."
    ),
]
Out = Annotated[Path | None, typer.Option("--out", help="Folder or file to write; default: one named by time.")]
ScenarioArgument = Annotated[
    str,
    typer.Argument(
        metavar="SCENARIO",
        help="Name in the library (see `peakday scenario list`) or path of a YAML file.",
        autocompletion=scenario_names,
    ),
]
Live = Annotated[bool, typer.Option("--live", help="Use real models, which costs money; says how much, and asks.")]
Yes = Annotated[bool, typer.Option("--yes", help="With --live: go on without being asked.")]
OpenAIUrl = Annotated[
    str | None,
    typer.Option(
        "--openai-url",
        metavar="URL",
        help="With --live: an OpenAI-compatible server, ending in /v1, that has the scenario's own models.",
    ),
]
Targets = Annotated[
    list[str] | None,
    typer.Option(
        "--target",
        metavar="KIND=URL",
        help="Drive this instead: assistant=, openai=, bedrock=URL, http=MAPPING.yaml, module=FILE.py:Class@URL.",
    ),
]
Processes = Annotated[int, typer.Option("--processes", min=1, help="Load workers on this machine.")]
