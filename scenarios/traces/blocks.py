"""Traces with block hashes: Mooncake, RAGPulse, and sessions of coding agents with their sub-agents."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path

from scenarios.errors import ScenarioError
from scenarios.traces.cells import block_ids, count, moment, name_of, records, seconds
from scenarios.traces.row import TraceRow

MOONCAKE_BLOCK_TOKENS = 512
_SINCE_1970_S = 1e9
"""As milliseconds twelve days, as seconds the year 2001: a larger number in a Mooncake log is no offset."""
DEPTH_MAX = 20
"""Sub-agents of sub-agents that a session may hold."""
RAGPULSE_PARTS = ("sys_prompt", "passages_ids", "history", "web_search", "user_input")
_RAGPULSE_TABLES = {
    "sys_prompt": ("1_sys_prompt", "sys_prompt_id"),
    "passages_ids": ("2_passages", "passage_id"),
    "history": ("3_history", "history_id"),
    "web_search": ("5_web_search", "web_search_id"),
    "user_input": ("4_user_input", "user_input_id"),
}


def mooncake_rows(path: str | Path) -> Iterator[TraceRow]:
    """Requests with `timestamp` in ms and `hash_ids` of 512-token blocks; a session where one is named."""
    for line, record in records(path):
        ids = block_ids(path, line, record.get("hash_ids", []))
        inputs = count(path, line, "input_length", record.get("input_length"))
        outputs = count(path, line, "output_length", record.get("output_length"))
        stamp = record.get("timestamp")
        offset = isinstance(stamp, (int, float)) and abs(stamp) < _SINCE_1970_S
        at = moment(path, line, "timestamp", stamp, 1e-3 if offset else None)
        blocks = even_blocks(inputs, len(ids), MOONCAKE_BLOCK_TOKENS)
        session = name_of(record.get("session_id", record.get("chat_id")))
        yield TraceRow(line, at.seconds, inputs, outputs, ids, blocks, session, at.zone, at.unit)


def even_blocks(total: int, blocks: int, size: int) -> tuple[int, ...]:
    """Tokens of each block: full ones, and the last with what is left; full too where the prompt is longer or none is.

    So lengths that do not fit their blocks change no block.
    """
    if not blocks:
        return ()
    left = total - size * (blocks - 1)
    return (size,) * (blocks - 1) + (left if 0 < left < size else size,)


# --- sessions of agents -----------------------------------------------------------------------------------------------


def agentic_rows(path: str | Path) -> Iterator[TraceRow]:
    """Requests of sessions, one session a record. Each counts time from its own start."""
    for line, record in records(path):
        size = count(path, line, "block_size", record.get("block_size"))
        if not size:
            raise ScenarioError(f"{path}: line {line}: block_size is 0, expected the tokens of one block")
        session = str(record.get("id", line))[:200]
        scope = "" if record.get("hash_id_scope") == "global" else f"{line}"
        for row in _requests(path, line, record.get("requests"), size, session, "", 0):
            yield row._replace(scope=scope)


def _requests(
    path: str | Path, line: int, requests: object, size: int, session: str, agent: str, depth: int
) -> Iterator[TraceRow]:
    """The requests of one agent in order; a sub-agent's stand where it was started, under whatever key."""
    if depth > DEPTH_MAX:
        raise ScenarioError(f"{path}: line {line}: sub-agents nested too deeply")
    before: Mapping[str, object] | None = None
    items = [item for item in requests if isinstance(item, dict)] if isinstance(requests, list) else []
    for number, request in enumerate(items):
        if "in" in request or "out" in request:
            later = next((item for item in items[number + 1 :] if "in" in item or "out" in item), None)
            yield _request(path, line, request, size, session, agent, before, later)
            before = request
        name = str(request.get("id", request.get("agent_id", number)))[:60]
        for inner in _nested(request):
            yield from _requests(path, line, inner, size, session, f"{agent}/{name}", depth + 1)


def _nested(request: Mapping[str, object]) -> Iterator[list[object]]:
    for value in request.values():
        if isinstance(value, dict) and isinstance(value.get("requests"), list):
            yield value["requests"]
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            yield value


def _request(
    path: str | Path,
    line: int,
    request: Mapping[str, object],
    size: int,
    session: str,
    agent: str,
    before: Mapping[str, object] | None,
    later: Mapping[str, object] | None,
) -> TraceRow:
    ids = block_ids(path, line, request.get("hash_ids", []))
    inputs = count(path, line, "in", request.get("in"))
    outputs = count(path, line, "out", request.get("out", 0))
    since_s = seconds(path, line, "t", request.get("t"))
    return TraceRow(
        line, None, inputs, outputs, ids, even_blocks(inputs, len(ids), size), session, agent=agent,
        since_s=since_s or 0.0, duration_s=_duration_s(path, line, request, since_s or 0.0, later),
        model=name_of(request.get("model")), starts_turn=_starts_turn(request, before),
    )  # fmt: skip


def _starts_turn(request: Mapping[str, object], before: Mapping[str, object] | None) -> bool:
    """A request goes on with a turn where it brings a tool's result, or the one before it ended in a tool's use."""
    brings = request.get("input_types")
    if before is None:
        return True
    return before.get("stop") != "tool_use" and "tool_result" not in (brings if isinstance(brings, list) else ())


def _duration_s(
    path: str | Path, line: int, request: Mapping[str, object], since_s: float, later: Mapping[str, object] | None
) -> float | None:
    """Its `api_time`, else what its successor's start and think time leave for it."""
    stated = seconds(path, line, "api_time", request.get("api_time"))
    if stated is not None or later is None:
        return stated
    think_s, next_s = (seconds(path, line, key, later.get(key)) for key in ("think_time", "t"))
    return max(0.0, next_s - think_s - since_s) if think_s is not None and next_s is not None else None


# --- RAGPulse ---------------------------------------------------------------------------------------------------------


def ragpulse_rows(path: str | Path) -> Iterator[TraceRow]:
    """Requests with blocks by part of the prompt; their lengths stand in files beside the trace.

    Without those files a prompt's length is shared out evenly over its blocks.
    """
    tables = {part: _ragpulse_lengths(str(Path(path).parent), part) for part in RAGPULSE_PARTS}
    for line, record in records(path):
        parts = record.get("hash_ids")
        if not isinstance(parts, dict):
            raise ScenarioError(f"{path}: line {line}: hash_ids are no mapping of parts to block ids")
        blocks = [(part, block) for part in RAGPULSE_PARTS for block in block_ids(path, line, parts.get(part, []))]
        inputs = count(path, line, "input_length", record.get("input_length"))
        outputs = count(path, line, "output_length", record.get("output_length", 0))
        lengths = _known_lengths(blocks, tables) or _even_shares(inputs, len(blocks))
        at = moment(path, line, "timestamp", record.get("timestamp"), None)
        ids, session = tuple(block for _, block in blocks), name_of(record.get("session_id"))
        yield TraceRow(line, at.seconds, inputs, outputs, ids, lengths, session, at.zone, at.unit)


def _known_lengths(blocks: list[tuple[str, int]], tables: Mapping[str, Mapping[int, int]]) -> tuple[int, ...]:
    if not any(tables.values()):
        return ()
    return tuple(tables[part].get(block, 0) for part, block in blocks)


def _even_shares(total: int, blocks: int) -> tuple[int, ...]:
    ends = [total * place // blocks for place in range(blocks + 1)] if blocks else [0]
    return tuple(after - before for before, after in itertools.pairwise(ends))


@lru_cache(maxsize=16)
def _ragpulse_lengths(folder: str, part: str) -> Mapping[int, int]:
    """Tokens of each block of one part of the prompt; empty when the table does not lie beside the trace."""
    stem, key = _RAGPULSE_TABLES[part]
    path = next((p for p in (Path(folder) / f"{stem}.jsonl", Path(folder) / f"{stem}.jsonl.gz") if p.is_file()), None)
    if path is None:
        return {}
    return {
        count(path, line, key, record.get(key)): count(path, line, "token_length", record.get("token_length"))
        for line, record in records(path)
    }
