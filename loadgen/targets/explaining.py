"""A reader that says of every event it ignores why: for `ask`, and never for a load run."""

from __future__ import annotations

import orjson

from loadgen.targets.mapping import PARTS, at
from loadgen.targets.mapping_form import TargetMapping
from loadgen.targets.signals import NO_JSON, MappedReader, Signal, about

_KEYS_SHOWN = 12


class ExplainingReader(MappedReader):
    """Reads as a load worker does; `ignored` gathers a reason for each event that gave no signal."""

    def __init__(self, mapping: TargetMapping) -> None:
        super().__init__(mapping)
        self.ignored: list[str] = []

    def recognise(self, name: str, data: bytes) -> list[Signal]:
        """What one event means; a reason is kept for one that means nothing."""
        signals = super().recognise(name, data)
        if not signals:
            self.ignored.append(self._why(name, data.strip()))
        return signals

    def reasons(self, signals: list[Signal]) -> list[str]:
        """Why what was read since the last call gave no signal; empty where all of it did."""
        reasons, self.ignored = self.ignored, []
        if not signals and not reasons:
            return ["kept until the body ends" if self._one_body else "a comment, or part of an event so far"]
        return reasons

    def _why(self, name: str, data: bytes) -> str:
        if not data:
            return "an event without data"
        if self._event_name is None and "" not in self._named and name not in self._named:
            return self._of_no_rule(name)
        try:
            value = self._value(data)
        except orjson.JSONDecodeError:
            value = NO_JSON
        if value is NO_JSON:
            return "no JSON: it only keeps the connection alive"
        if self._event_name is not None:
            named = at(value, self._event_name)
            if named is None:
                return f"no name of an event at {self._event_name} (event_name)"
            name = str(named)
            if "" not in self._named and name not in self._named:
                return self._of_no_rule(name)
        return self._nothing_there(name, value)

    def _of_no_rule(self, name: str) -> str:
        rules = ", ".join(sorted(self._named - {""}))
        return (
            f"no rule is about event {name!r}; rules are about {rules}"
            if name
            else f"it has no name; rules want {rules}"
        )

    def _nothing_there(self, name: str, value: object) -> str:
        """Where the rules about this event looked, and what it has."""
        looked = [
            f"{path} ({kind})"
            for kind in PARTS
            for rule in self._rules[kind]
            if about(rule, name)
            for key, path in rule.items()
            if key not in ("event", "equals", "data", "close", "input_includes_cached", "encoding")
            and isinstance(path, str)
        ]
        if name and not looked:
            return self._of_no_rule(name)
        keys = ", ".join(map(str, list(value)[:_KEYS_SHOWN])) if isinstance(value, dict) else type(value).__name__
        return f"nothing at {', '.join(looked)}; it has {keys}" if looked else f"no rule looks into it; it has {keys}"
