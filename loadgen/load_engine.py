"""What is used of Locust, which has no types of its own for these: messages, runners and their environment."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol


class Message(Protocol):
    """A message between master and worker."""

    node_id: str
    data: Any  # what its sender put in: each handler knows its own


class Runner(Protocol):
    """The end of a run that this process is."""

    environment: Environment

    def register_message(self, kind: str, listener: Callable[..., object]) -> None:
        """Call the listener with every message of a kind."""

    def send_message(self, kind: str, data: object = None, client_id: str | None = None) -> None:
        """To the master, or to one worker of it."""

    def quit(self) -> None:
        """End the run."""


class Client(Protocol):
    """A worker as its master sees it."""

    state: str


class MasterRunner(Runner, Protocol):
    """The master's end."""

    clients: Mapping[str, Client]


class StatsEntry(Protocol):
    """A row of Locust's page."""

    def log(self, response_time: float, content_length: int) -> None:
        """Count one; milliseconds."""


class Stats(Protocol):
    """The rows of Locust's page by name and method, made where they are asked for; its sums are kept apart."""

    entries: Mapping[tuple[str, str], StatsEntry]


class Environment(Protocol):
    """What belongs to a run of Locust's; `web_ui` is its own page, where it is served."""

    runner: Runner
    stats: Stats
    events: Any
    web_ui: Any
    process_exit_code: int | None
