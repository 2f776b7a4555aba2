"""A replay as a file of numbers that every load worker reads: JSON lines, the head first, then a session a line.

A prompt's blocks are written as how many of the call before it keeps, and the rest: agents' prompts grow by little.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from host.atomic import write_text
from scenarios.errors import ScenarioError
from scenarios.replay.plan import ReplayCall, ReplayPlan, ReplaySession

SCHEMA = "peakday.replay/1"
Blocks = tuple[Sequence[int], Sequence[int]]
CallRow = tuple[int, int, str, int, int, Sequence[int], float, int | None, int, int, int, Sequence[int], Sequence[int]]
SessionRow = tuple[float, int, int, bool, int | None, Sequence[int], Sequence[CallRow]]


def write_plan(plan: ReplayPlan, folder: Path) -> Path:
    """The plan's file in a folder, named after its content."""
    head = {
        "schema": SCHEMA, "form": plan.form, "by_call": plan.by_call, "live_output": plan.live_output,
        "length_s": plan.length_s, "notes": plan.notes,
    }  # fmt: skip
    lines = [json.dumps(head), *(json.dumps(_encoded(session)) for session in plan.sessions)]
    text = "\n".join(lines) + "\n"
    path = folder / f"{hashlib.sha256(text.encode()).hexdigest()[:24]}.jsonl"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_text(path, text)
    return path


def read_plan(path: Path) -> ReplayPlan:
    """The plan of a file.

    Raises:
        ScenarioError: not of this schema.
    """
    with path.open(encoding="utf-8") as file:
        head = json.loads(file.readline())
        if head.get("schema") != SCHEMA:
            raise ScenarioError(f"{path}: not a {SCHEMA} file; the parts of a run must be of one version")
        sessions = tuple(_decoded(json.loads(line)) for line in file)
    return ReplayPlan(
        head["form"], head["by_call"], head["live_output"], head["length_s"], sessions, tuple(head["notes"])
    )


def _encoded(session: ReplaySession) -> SessionRow:
    calls: list[CallRow] = []
    before: Blocks = ((), ())
    for call in session.calls:
        blocks = (call.block_ids, call.block_tokens)
        kept = _common(before, blocks)
        calls.append(
            (
                call.turn, call.place, call.agent, call.input_tokens, call.output_tokens, call.after, call.wait_s,
                call.previous, call.stream, call.shared_tokens, kept, call.block_ids[kept:], call.block_tokens[kept:],
            )
        )  # fmt: skip
        before = blocks
    return (session.at_s, session.number, session.scope, session.began_before, session.client, session.away, calls)


def _common(before: Blocks, blocks: Blocks) -> int:
    pairs = zip(*before, strict=True), zip(*blocks, strict=True)
    kept = 0
    for one, other in zip(*pairs, strict=False):
        if one != other:
            break
        kept += 1
    return kept


def _decoded(values: SessionRow) -> ReplaySession:
    at_s, number, scope, began_before, client, away, calls = values
    return ReplaySession(at_s, number, scope, began_before, client, tuple(_calls(calls)), tuple(away))


def _calls(calls: Sequence[CallRow]) -> Iterator[ReplayCall]:
    ids: tuple[int, ...] = ()
    sizes: tuple[int, ...] = ()
    for turn, place, agent, inputs, outputs, after, wait_s, previous, stream, shared, kept, more, more_sizes in calls:
        ids, sizes = (*ids[:kept], *more), (*sizes[:kept], *more_sizes)
        yield ReplayCall(
            turn, place, agent, inputs, outputs, ids, sizes, tuple(after), wait_s, previous, stream, shared
        )
