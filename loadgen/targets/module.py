"""Target `module`: a user's own Python class, for what no mapping can say.

The file defines a class with two methods and no import of ours:
`request(turn: dict) -> dict` with keys `method`, `path`, `headers` and `body` (bytes), and
`reader()` -> an object with `feed(data: bytes)` and `close()`, each giving pairs such as `("text", "hello")`,
`("end", None)`, `("error", "busy")`, `("usage", {"output_tokens": 12})` or `("conversation_id", "abc")`.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from loadgen.job import LoadError, TargetSpec
from loadgen.schedule.session import SessionState
from loadgen.targets.base import COMMON_HEADERS, Fetch, Shared, new_trace, trace_headers
from loadgen.targets.signals import SignalAnswer
from loadgen.transport.answer import Answer
from loadgen.transport.connection import Endpoint


class ModuleTarget:
    """Asks the user's class for every request and reader."""

    def __init__(self, spec: TargetSpec, where: Endpoint, shared: Shared) -> None:
        self.spec = spec
        self.where = where
        self._shared = shared
        self._own = load_class(spec.module or "")()

    def prepare(self, states: list[SessionState], fetch: Fetch) -> None:
        """Nothing to do ahead."""

    def turn(self, state: SessionState) -> tuple[bytes, Answer]:
        """The present turn as the user's class builds it."""
        trace_id, span_id = new_trace(self._shared.random)
        made = self._own.request(self._fields(state))
        own = made.get("headers", {})
        usual = {name: value for name, value in COMMON_HEADERS.items() if name.lower() not in map(str.lower, own)}
        headers = {"Host": self.where.host_header, **usual, **trace_headers(trace_id, span_id), **own}
        lines = [f"{made.get('method', 'POST')} {self.where.path}{made['path']} HTTP/1.1"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        lines += [f"Content-Length: {len(made['body'])}", "", ""]
        answer = SignalAnswer(self._shared.gaps_ns, self._own.reader(), self.spec, self._shared.job.keep_text)
        answer.meta["trace_id"] = trace_id
        return "\r\n".join(lines).encode() + made["body"], answer

    def _fields(self, state: SessionState) -> dict[str, object]:
        return {
            "message": self._shared.messages[state.turn.message_id]["text"],
            "locale": state.session.locale,
            "region": state.region,
            "customer_id": state.session.customer_id,
            "session_id": state.session_id,
            "interaction_id": state.interaction_id,
            "turn_index": state.turn_index,
            "conversation_id": state.conversation_id,
        }

    def learn(self, state: SessionState, answer: Answer) -> None:
        """Keep the conversation's id for the next turn."""
        state.conversation_id = answer.meta.get("conversation_id") or state.conversation_id


def load_class(text: str) -> Any:
    """The class of `path/to/file.py:Class`.

    Raises:
        LoadError: no such file or class.
    """
    file, _, name = text.rpartition(":")
    path = Path(file)
    spec = importlib.util.spec_from_file_location(path.stem, path) if path.is_file() else None
    if spec is None or spec.loader is None:
        raise LoadError(f"target module {text}: no such Python file; expected path/to/file.py:Class")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if not hasattr(module, name):
        raise LoadError(f"target module {text}: {path.name} has no class {name}")
    return getattr(module, name)
