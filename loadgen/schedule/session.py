"""SessionState: where one planned session stands while it runs, and what it must remember for its next turn."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from loadgen.transport.connection import Connection
    from scenarios.sessions import Turn

ENDS_SESSION = ("abandoned", "censored", "dropped")


class SessionState:
    """The walk of one session through its interactions and turns. `session` is a `scenarios.sessions.Session`."""

    __slots__ = (
        "began_before", "connection", "conversation_id", "cookies", "customer_hash", "history", "interaction_index",
        "lengths", "others", "pending_confirmation", "pictures", "prompt", "refused", "region", "session", "target",
        "token", "turn_index",
    )  # fmt: skip

    def __init__(self, session: Any, region: str | None, target: Any, salt: str) -> None:
        self.session = session
        self.region = region
        self.target = target
        self.customer_hash = hash_customer(session.customer_id, salt)
        self.interaction_index = 0
        self.turn_index = 0
        self.token: str | None = None
        self.refused: str | None = None  # why the target would not prepare it
        self.lengths: tuple[int, int] | None = None  # input and output tokens, where a file says them
        self.connection: Connection | None = None  # kept alive through the session
        self.history: list[tuple[str, str]] = []
        self.pictures: dict[int, list[str]] = {}  # as data or addresses, by their message's place in the history
        self.pending_confirmation: str | None = None
        self.conversation_id: str | None = None
        self.cookies: dict[str, str] = {}  # that the target has set, kept through the session as a browser does
        self.prompt: bytes | None = None  # drawn token ids, where lengths are replayed
        self.others: tuple[Any, ...] = ()  # states of a replayed session that begin beside this one
        self.began_before = False  # whether the session began before the window, in a replay

    @property
    def session_id(self) -> str:
        """Unique in the run, and the same for any number of workers."""
        return f"s{self.session.index}"

    @property
    def interaction_id(self) -> str:
        """Unique in the run."""
        return f"s{self.session.index}-{self.interaction_index}"

    @property
    def turn(self) -> Turn:
        """The turn to play next."""
        turn: Turn = self.session.interactions[self.interaction_index].turns[self.turn_index]
        return turn

    @property
    def more_turns(self) -> bool:
        """Whether this interaction goes on after the present turn."""
        return self.turn_index + 1 < len(self.session.interactions[self.interaction_index].turns)

    def ask(self, message: Mapping[str, Any]) -> None:
        """Put the present question into the history, its pictures beside it."""
        if pictures := message.get("images"):
            self.pictures[len(self.history)] = pictures
        self.history.append(("user", message["text"]))

    def beside(self, due_ns: int) -> list[tuple[int, SessionState]]:
        """Others of the session that start with this one, and when."""
        return []

    def follow(self, status: str, end_ns: int) -> list[tuple[int, SessionState]]:
        """What is due once a turn has ended so, and when."""
        delay_s = self.advance(status)
        return [] if delay_s is None else [(end_ns + int(delay_s * 1e9), self)]

    def advance(self, status: str) -> float | None:
        """Move on after a turn that ended so; seconds to wait before the next one, None when the session is over.

        A customer who gave up leaves; one who got an error drops the conversation, and may come back for the next.
        """
        if status in ENDS_SESSION:
            return None
        if status == "ok" and self.more_turns:
            self.turn_index += 1
            return float(self.turn.think_s)
        self.interaction_index += 1
        self.turn_index = 0
        self.history = []
        self.pictures = {}
        self.pending_confirmation = None
        self.conversation_id = None
        if self.interaction_index == len(self.session.interactions):
            return None
        return float(self.session.interactions[self.interaction_index].delay_s)


def hash_customer(customer_id: str, salt: str) -> str:
    """A customer's pseudonym within one run."""
    return hashlib.blake2b(customer_id.encode(), key=salt.encode()[:64], digest_size=8).hexdigest()
