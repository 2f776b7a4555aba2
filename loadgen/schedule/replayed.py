"""A replayed session while it runs: its calls as a graph, of which each is sent when those it waits for have ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from loadgen.schedule.session import SessionState
from scenarios.replay.plan import ReplayCall, ReplayPlan, ReplaySession
from scenarios.replay.prompts import LiveOutputs
from scenarios.sessions import Interaction, Session, Turn

_NS = 1_000_000_000
_NO_MESSAGE = Turn("", 0.0, None, None)


@dataclass(frozen=True)
class Replayed:
    """A session of a replay as the schedule holds it; `index` is its arrival."""

    index: int
    customer_id: str
    trace: ReplaySession
    live_output: bool


class ReplayPlanner:
    """Sessions of a replay by arrival: graphs of calls for a model's server; messages in turn for an assistant.

    An assistant's messages are the world's, one after the other: a trace holds no words. Its conversation is a new one
    where the trace's customer was away for over half an hour.
    """

    def __init__(self, plan: ReplayPlan, messages: Sequence[Mapping[str, object]]) -> None:
        self._plan = plan
        self._messages = [str(message["id"]) for message in messages if not message.get("answers")]

    def block(self, low: int, high: int, regions: Sequence[int]) -> list[Replayed] | list[Session]:
        """The sessions of some arrivals."""
        sessions = enumerate(self._plan.sessions[low:high], start=low)
        if self._plan.by_call:
            return [self._graph(index, session) for index, session in sessions]
        return [self._talk(index, session) for index, session in sessions]

    def _graph(self, index: int, session: ReplaySession) -> Replayed:
        return Replayed(index, _customer(index, session), session, self._plan.live_output)

    def _talk(self, index: int, session: ReplaySession) -> Session:
        parts: list[Interaction] = []
        for place, call in enumerate(session.calls):
            wait_s = call.wait_s if place else 0.0
            if not parts or call.turn in session.away:
                parts.append(Interaction(wait_s, []))
                wait_s = 0.0
            message = self._messages[(session.number * 31 + call.turn) % len(self._messages)]
            parts[-1].turns.append(Turn(message, wait_s, None, None))
        return Session(index, index, _customer(index, session), "en_US", parts)


def _customer(index: int, session: ReplaySession) -> str:
    return f"replay-{index}" if session.client is None else f"replay-client-{session.client}"


@dataclass
class _Graph:
    """What has ended of one session's calls, and what its target answered."""

    calls: tuple[ReplayCall, ...]
    dependents: dict[int, list[int]] = field(default_factory=dict)
    ends_ns: dict[int, int] = field(default_factory=dict)
    outputs: LiveOutputs = field(default_factory=LiveOutputs)
    stopped: bool = False


class CallState(SessionState):
    """One call of a replayed session. Calls of a session share its graph, and each has a state of its own.

    A call that fails ends its session: nothing is known of what would have followed.
    """

    __slots__ = ("call", "graph", "place")

    def __init__(
        self, session: Replayed, region: str | None, target: object, salt: str, place: int, graph: _Graph
    ) -> None:
        super().__init__(session, region, target, salt)
        self.graph = graph
        self.place = place
        self.call = graph.calls[place]
        self.turn_index = self.call.place
        self.lengths = (self.call.input_tokens, self.call.output_tokens)
        self.began_before = session.trace.began_before

    @property
    def interaction_id(self) -> str:
        """The trace's turn."""
        return f"s{self.session.index}-{self.call.turn}"

    @property
    def turn(self) -> Turn:
        """No message of the world: the prompt follows from the trace."""
        return _NO_MESSAGE

    @property
    def more_turns(self) -> bool:
        """No text is kept for later calls."""
        return False

    def beside(self, due_ns: int) -> list[tuple[int, SessionState]]:
        """The session's other calls that wait for none, where this is the first of them."""
        others, self.others = self.others, ()
        return [(due_ns + int(other.call.wait_s * _NS), other) for other in others]

    def follow(self, status: str, end_ns: int) -> list[tuple[int, SessionState]]:
        """Calls that waited for this one and now for none."""
        graph = self.graph
        graph.stopped = graph.stopped or status != "ok"
        if graph.stopped:
            return []
        graph.ends_ns[self.place] = end_ns
        ready = [
            place
            for place in graph.dependents.get(self.place, ())
            if all(before in graph.ends_ns for before in graph.calls[place].after)
        ]
        return [(self._due_ns(place), self._state(place)) for place in ready]

    def _due_ns(self, place: int) -> int:
        call = self.graph.calls[place]
        return max(self.graph.ends_ns[before] for before in call.after) + int(call.wait_s * _NS)

    def _state(self, place: int) -> CallState:
        state = CallState(self.session, self.region, self.target, "", place, self.graph)
        state.customer_hash = self.customer_hash
        return state


def first_state(session: Replayed, region: str | None, target: object, salt: str) -> CallState:
    """The state of a session's first call, with those of the calls that begin beside it."""
    graph = _Graph(session.trace.calls)
    for place, call in enumerate(graph.calls):
        for before in call.after:
            graph.dependents.setdefault(before, []).append(place)
    roots = [place for place, call in enumerate(graph.calls) if not call.after]
    roots.sort(key=lambda place: graph.calls[place].wait_s)
    states = [CallState(session, region, target, salt, place, graph) for place in roots]
    states[0].others = tuple(states[1:])
    return states[0]
