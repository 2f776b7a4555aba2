"""From the rows of a trace to its sessions: rows kept together by session, turn and agent, in the order of their work.

A turn's calls make a graph: a call waited for those of its own agent, of sub-agents that had ended, and, if it is its
agent's first, for those of the agent that started it, as far as they had ended when it began.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from scenarios.errors import ScenarioError
from scenarios.traces.arrivals import HOUR_S, doubts, survey
from scenarios.traces.detection import detect, length_doubts, steps, unnamed_duration
from scenarios.traces.row import AGENT, CALL, TOOL, TraceRow
from scenarios.traces.services import SERVICES
from scenarios.traces.session import Call, Session, Tool, Trace, Turn

_OF_SPANS = ("otlp", "spans", "xray", "langfuse", *(name for name, _, _ in SERVICES))
CALLS_MAX = 2_000_000
"""A trace is put in order in memory, some 0.5 KB a call."""
CALL_TOKENS_MAX = 100_000_000
"""Ten times the longest context that a model is sold with; a replay makes the prompts."""
DURATION_DOUBTED_S = 60.0
"""A median request so long, by a column that states no unit, asks whether seconds were meant."""
TOGETHER_S = 0.001
"""Clocks of files have milliseconds: what ends within one of another's start has ended before it."""
LOOKED_BACK = 256
"""Calls of a turn before one that are looked at for what it waited for."""
PARENTS_MAX = 50


def read_trace(paths: Path | Sequence[Path]) -> Trace:
    """A trace of one or several files of a form, in order.

    Raises:
        ScenarioError: unreadable, of an unknown form or of several, empty, or larger than memory should hold.
    """
    files = [paths] if isinstance(paths, Path) else list(paths)
    forms = {detect(file) for file in files}
    if len(forms) != 1:
        raise ScenarioError(f"{files[0]}: files of several forms ({', '.join(sorted(forms))}); give one form at a time")
    form = forms.pop()
    rows: list[TraceRow] = []
    lines: list[str] = []
    for number, file in enumerate(files):
        rows += _rows_of(file, number, len(files), lines, CALLS_MAX - len(rows))
    if not any(row.kind == CALL for row in rows):
        what = "spans need token usage to be one" if form in _OF_SPANS else "give a log with one request a line"
        raise ScenarioError(f"{files[0]}: no model call in it ({form}); {what}")
    return _in_order(form, rows, lines, str(files[0]))


def _rows_of(path: Path, number: int, files: int, lines: list[str], rows_max: int) -> list[TraceRow]:
    """The rows of one file, on its clock repaired; what is doubtful about it goes to `lines`."""
    rows: list[TraceRow] = []
    for row in steps(path):
        if len(rows) >= rows_max:
            raise ScenarioError(f"{path}: over {CALLS_MAX:,} requests; cut the file into parts of a day or an hour")
        most = max(row.input_tokens or 0, row.output_tokens or 0)
        if most > CALL_TOKENS_MAX:
            raise ScenarioError(f"{path}: line {row.line}: {most:,} tokens in one request; give a request a row")
        rows.append(row)
    if all(row.at_s is not None for row in rows if row.kind == CALL) and rows:
        log = survey(path)
        if rows[0].key is not None:  # doubled rows are known by their names, and counted with them
            log = replace(log, duplicates=0)
        lines += [*doubts(path, log), *length_doubts(path)]
        rows = _without_long_durations(path, rows, lines)
        late = log.fall_back_line
        if late is not None:
            rows = [row._replace(at_s=(row.at_s or 0.0) + HOUR_S) if row.line >= late else row for row in rows]
    alone = files > 1 and all(row.at_s is None for row in rows)  # sessions of files without a clock are the file's own
    return [row._replace(session=f"{number}/{row.session}") if alone and row.session else row for row in rows]


def _without_long_durations(path: Path, rows: list[TraceRow], lines: list[str]) -> list[TraceRow]:
    """Durations of which nothing says the unit, and that are too long for seconds, are no durations."""
    column = unnamed_duration(path)
    known = sorted(row.duration_s for row in rows if row.duration_s is not None)
    if column is None or not known or known[len(known) // 2] < DURATION_DOUBTED_S:
        return rows
    lines.append(
        f"{path}: {column} says no unit, and {known[len(known) // 2]:g} is long for seconds: it is not used; "
        f"name it {column}_ms or {column}_s"
    )
    return [row._replace(duration_s=None) for row in rows]


def _in_order(form: str, rows: list[TraceRow], lines: list[str], path: str) -> Trace:
    counted: Counter[str] = Counter()
    rows = _without_doubles(rows, counted)
    named = any(row.session is not None for row in rows)
    clock = rows[0].at_s is not None
    start_s = min(_time(row) for row in rows if row.kind == CALL) if clock else 0.0
    clients = _clients(rows)
    scopes = {scope: number for number, scope in enumerate(dict.fromkeys(row.scope for row in rows))}
    sessions = [
        session
        for own in _by_session(rows).values()
        if (session := _session(own, start_s, clients, scopes[own[0].scope], counted)) is not None
    ]
    if not sessions:
        raise ScenarioError(f"{path}: every request failed or used no tokens; give a log of answered requests")
    sessions.sort(key=lambda session: session.start_s)
    lines += [f"{path}: {count} {what}" for what, count in counted.items() if count]
    unseen = tuple(_unseen(form, sessions, named=named, clock=clock))
    return Trace(form, tuple(sessions), tuple(lines), unseen, clock, start_s, named)


def _time(row: TraceRow) -> float:
    return row.at_s if row.at_s is not None else row.since_s or 0.0


def _without_doubles(rows: list[TraceRow], counted: Counter[str]) -> list[TraceRow]:
    """Without rows of one name twice, spans that sum up those within them, and answers that two tools saw."""
    answers: set[tuple[str | None, str]] = set()
    sums = {row.parent for row in rows if row.kind == CALL and row.parent is not None}
    kept: list[TraceRow] = []
    names: set[tuple[str | None, str]] = set()
    for row in rows:
        if row.key is not None:
            if (row.turn, row.key) in names:
                counted["rows are there twice; one of each is used"] += 1
                continue
            names.add((row.turn, row.key))
        if row.kind == CALL and row.key is not None and row.key in sums:
            counted["spans sum up the calls within them; the calls are used"] += 1
            row = row._replace(kind=AGENT)
        if row.kind == CALL and row.answer is not None:
            if (row.turn, row.answer) in answers:
                counted["spans are of an answer that another one is of; one of each is used"] += 1
                continue
            answers.add((row.turn, row.answer))
        kept.append(row)
    return kept


def _clients(rows: Iterable[TraceRow]) -> Mapping[str, int]:
    """Numbers of the clients, the busiest first: no name of one leaves the reader."""
    calls = Counter(row.client for row in rows if row.client is not None)
    return {client: number for number, (client, _) in enumerate(calls.most_common())}


def _by_session(rows: list[TraceRow]) -> dict[str, list[TraceRow]]:
    """Rows of each session; one that is named on a single span of a turn is that of the whole turn."""
    of_turn: dict[str, str] = {}
    for row in rows:
        if row.turn is not None and row.session is not None:
            of_turn.setdefault(row.turn, row.session)
    apart: dict[str, list[TraceRow]] = defaultdict(list)
    for number, row in enumerate(rows):
        session = row.session or of_turn.get(row.turn or "") or row.turn
        apart[f"s{session}" if session is not None else f"#{number}"].append(row)
    return apart


def _session(
    rows: list[TraceRow], start_s: float, clients: Mapping[str, int], scope: int, counted: Counter[str]
) -> Session | None:
    rows.sort(key=lambda row: (_time(row), row.line))
    turns: list[Turn] = []
    for own in _by_turn(rows):
        turn = _turn(own, start_s, counted)
        if turn is not None:
            turns.append(turn)
    if not turns:
        return None
    turns.sort(key=lambda turn: turn.start_s)
    for number in range(1, len(turns)):
        think_s = turns[number].start_s - max(turn.end_s for turn in turns[:number][-8:])
        counted["turns begin before the one before has ended; they follow it at once"] += think_s < -TOGETHER_S
        turns[number] = replace(turns[number], think_s=max(0.0, think_s))
    client = next((clients[row.client] for row in rows if row.client is not None), None)
    return Session(tuple(turns), client, scope)


def _by_turn(rows: list[TraceRow]) -> list[list[TraceRow]]:
    """A session's rows by turn: as the file keeps them together, as it shows where one starts, or a call each."""
    if any(row.turn is not None for row in rows):
        named: dict[str | None, list[TraceRow]] = defaultdict(list)
        for row in rows:
            named[row.turn].append(row)
        return list(named.values())
    turns: list[list[TraceRow]] = []
    for row in rows:
        begins = row.starts_turn is not False and not row.agent
        if begins or not turns:
            turns.append([])
        turns[-1].append(row)
    return turns


def _turn(rows: list[TraceRow], start_s: float, counted: Counter[str]) -> Turn | None:
    agents = _agents(rows)
    calls = []
    for row in rows:
        counted["rows end before they start; taken as no time"] += (row.duration_s or 0.0) < -TOGETHER_S
        if row.kind != CALL:
            continue
        if row.failed and not row.output_tokens:
            counted["requests failed; they are left out"] += 1
        elif row.input_tokens == 0 and row.output_tokens == 0:
            counted["requests used no tokens; they are left out"] += 1
        else:
            calls.append(_call(row, start_s, agents.get(row.key or "", row.agent)))
    tools = tuple(
        Tool(_time(row) - start_s, max(0.0, row.duration_s or 0.0))
        for row in rows
        if row.kind == TOOL and row.at_s is not None
    )
    if not calls:
        return None
    return Turn(None, tuple(_linked(calls)), tools)


def _call(row: TraceRow, start_s: float, agent: str) -> Call:
    return Call(
        _time(row) - start_s,
        None if row.duration_s is None else max(0.0, row.duration_s),
        row.input_tokens or None,
        row.output_tokens or None,
        row.cache_read_tokens,
        row.cache_write_tokens,
        row.block_ids,
        row.block_tokens,
        row.model,
        agent,
    )


def _agents(rows: list[TraceRow]) -> dict[str, str]:
    """The path of agents above each named call; the turn's outermost one is the session's own and not part of it."""
    parents = {row.key: row.parent for row in rows if row.key is not None}
    agents = {row.key for row in rows if row.kind == AGENT}
    paths = {}
    for row in rows:
        if row.kind != CALL or row.key is None:
            continue
        above, name = [], row.parent
        for _ in range(PARENTS_MAX):
            if name is None or name not in parents:
                break
            if name in agents:
                above.append(name)
            name = parents[name]
        paths[row.key] = "".join(f"/{name}" for name in reversed(above[:-1]))
    return paths


@dataclass
class _Earlier:
    """Calls of a turn that come before one, latest last."""

    calls: list[Call]

    def waited_for(self, call: Call) -> tuple[int, ...]:
        """Places of the calls whose end it waited for: none of them ended before another of them began."""
        ended = [
            place
            for place in range(max(0, len(self.calls) - LOOKED_BACK), len(self.calls))
            if self.calls[place].end_s <= call.start_s + TOGETHER_S and self._related(self.calls[place], call)
        ]
        latest_s = max((self.calls[place].start_s for place in ended), default=0.0)
        return tuple(place for place in ended if self.calls[place].end_s >= latest_s)

    def _related(self, earlier: Call, call: Call) -> bool:
        own, other = call.agent, earlier.agent
        if own == other or other.startswith(f"{own}/"):
            return True
        first_of_its_agent = not any(before.agent == own for before in self.calls)
        return own.startswith(f"{other}/") and first_of_its_agent


def _linked(calls: list[Call]) -> list[Call]:
    """A turn's calls in order of start, each with what it waited for and how long after."""
    calls = sorted(calls, key=lambda call: call.start_s)
    linked: list[Call] = []
    for call in calls:
        after = _Earlier(linked).waited_for(call)
        ready_s = max((linked[place].end_s for place in after), default=calls[0].start_s)
        linked.append(replace(call, after=after, gap_s=max(0.0, call.start_s - ready_s)))
    return linked


def _unseen(form: str, sessions: Sequence[Session], *, named: bool, clock: bool) -> Iterable[str]:
    """What a trace cannot show."""
    calls = [call for session in sessions[:2000] for turn in session.turns for call in turn.calls]
    tools = any(turn.tools for session in sessions for turn in session.turns)
    several = any(len(turn.calls) > 1 for session in sessions for turn in session.turns)
    if not clock:
        yield "arrivals: its sessions have no clock in common"
    if not named and not several:
        yield "sessions: no row names one, so each request is a session of one turn"
    if all(call.input_tokens is None for call in calls):
        yield "tokens: it holds times alone"
    if all(call.duration_s is None for call in calls):
        yield "service times: no row says how long it took, so waits between turns hold the answers' time"
    if not tools and not several:
        yield "tools: no row of theirs, and no turn of several calls"
    elif not tools:
        yield "tools: no row of theirs; the gaps between a turn's calls are taken as their time"
    if all(call.cache_read_tokens is None for call in calls):
        yield "cached tokens: no row counts them"
    if not any(call.block_ids for call in calls):
        yield "prefixes: no block hashes, so which prompts share content is not known"
    if all(session.client is None for session in sessions):
        yield "clients: no row names one"
    if form == "sharegpt":
        yield "token counts: its lengths are characters over 4, an expert estimate"
