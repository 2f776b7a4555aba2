"""`cache`: what a prompt cache would have found."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from peakday.console import Console
from peakday.options import Json

verbs = typer.Typer(help="Prompt caches: exact policies over recorded prompts.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the verbs of this family."""
    app.add_typer(verbs, name="cache")


@verbs.command(epilog="Example: peakday cache replay trace.jsonl --policy lru:10000")
def replay(
    path: Annotated[Path, typer.Argument(help="Block-hash trace: a JSON-lines file (also .gz), or a ragpulse folder.")],
    policy: Annotated[
        str, typer.Option(help="infinite, lru:BLOCKS, ttl:SECONDS (slides) or ttl-fixed:SECONDS.")
    ] = "infinite",
    as_json: Json = False,
) -> None:
    """Replay a cache policy exactly over a trace of prompt blocks, cold at the start."""
    from dataclasses import asdict

    from capacity.caching.replay import read_prompts
    from capacity.caching.replay import replay as run

    result = run(read_prompts(path), policy)
    text = (
        f"{result.policy}: {result.hit_ratio:.6f} of blocks, {result.token_hit_ratio:.6f} of tokens hit "
        f"({result.requests:,} requests, {result.blocks:,} blocks, {result.tokens:,} tokens)"
    )
    data = {**asdict(result), "hit_ratio": result.hit_ratio, "token_hit_ratio": result.token_hit_ratio}
    Console(as_json).result(text, data)
