"""What a trace holds once it is in order: sessions of turns, each a graph of calls and tools. Frozen; stdlib only."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Call:
    """One model request. Times are seconds from the trace's start.

    Attributes:
        duration_s: None where the file does not say.
        input_tokens: the whole prompt; None where unknown or zero. cache_read_tokens and cache_write_tokens: of it.
        block_ids, block_tokens: prefix blocks in order, and the tokens of each.
        agent: path of sub-agents; empty for the session's own.
        after: places in the turn of the calls whose end it waited for. gap_s: from the last of those ends, or from the
            turn's start, to its own start: the tools' time.
    """

    start_s: float
    duration_s: float | None
    input_tokens: int | None
    output_tokens: int | None
    cache_read_tokens: int | None = None
    cache_write_tokens: int | None = None
    block_ids: tuple[int, ...] = ()
    block_tokens: tuple[int, ...] = ()
    model: str | None = None
    agent: str = ""
    after: tuple[int, ...] = ()
    gap_s: float = 0.0

    @property
    def end_s(self) -> float:
        """Its last token; its start where the file does not say."""
        return self.start_s + (self.duration_s or 0.0)


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool's run beside the calls; its name is not kept."""

    start_s: float
    duration_s: float

    @property
    def end_s(self) -> float:
        """When its result was there."""
        return self.start_s + self.duration_s


@dataclass(frozen=True, slots=True)
class Turn:
    """One message and all work on it. think_s: from the end of the session's turn before; None for its first."""

    think_s: float | None
    calls: tuple[Call, ...]
    tools: tuple[Tool, ...] = ()

    @property
    def start_s(self) -> float:
        """Its first call or tool."""
        return min([*(call.start_s for call in self.calls), *(tool.start_s for tool in self.tools)])

    @property
    def end_s(self) -> float:
        """Its last call's or tool's end."""
        return max([*(call.end_s for call in self.calls), *(tool.end_s for tool in self.tools)])

    @property
    def gaps_s(self) -> tuple[float, ...]:
        """Seconds between calls that follow on one another, which tools and the assistant's own work took."""
        return tuple(call.gap_s for call in self.calls if call.after)

    @property
    def parallel_calls(self) -> int:
        """Most calls at once."""
        return overlap([(call.start_s, call.end_s) for call in self.calls])

    @property
    def parallel_tools(self) -> int:
        """Most tools at once; 0 where the file has none."""
        return overlap([(tool.start_s, tool.end_s) for tool in self.tools])


@dataclass(frozen=True, slots=True)
class Session:
    """One customer's turns in order. `client` is a pseudonym: 0 for the busiest client of the file; None unknown.

    scope: sessions of one scope share block ids.
    """

    turns: tuple[Turn, ...]
    client: int | None = None
    scope: int = 0

    @property
    def start_s(self) -> float:
        """Its first turn."""
        return self.turns[0].start_s

    @property
    def calls(self) -> tuple[Call, ...]:
        """All calls of all turns."""
        return tuple(call for turn in self.turns for call in turn.calls)


@dataclass(frozen=True, slots=True)
class Trace:
    """A trace in order.

    Attributes:
        form: as `detection.detect` names it.
        sessions: by start.
        doubts: what was counted, repaired or taken for something, one line each.
        unseen: what the file could not show, one line each.
        clock: whether its sessions have a clock in common; if not, each starts at 0.
        start_s: of its first call, since 1970 where its times are. zone: times are of a known zone.
    """

    form: str
    sessions: tuple[Session, ...]
    doubts: tuple[str, ...]
    unseen: tuple[str, ...]
    clock: bool
    start_s: float
    sessions_named: bool

    @property
    def calls(self) -> int:
        """How many."""
        return sum(len(turn.calls) for session in self.sessions for turn in session.turns)

    @property
    def length_s(self) -> float:
        """From the first start to the last end."""
        return max(session.turns[-1].end_s for session in self.sessions)


def overlap(spans: list[tuple[float, float]]) -> int:
    """Most spans that hold one moment; a span that ends as another starts does not meet it."""
    edges = sorted([(start, 1) for start, _ in spans] + [(max(start, end), -1) for start, end in spans])
    most = now = 0
    for _, step in edges:
        now += step
        most = max(most, now)
    return most if spans and most else min(1, len(spans))
