"""Events of plain content in an OpenAI-compatible stream, known by their bytes: no JSON is parsed for a token.

A server writes one such event after the other, and they differ in their text and in values that nobody reads. What
stays the same is learned from one event that the careful reader (`wire.openai_stream`) has read, and is a regular
expression from then on: it matches what that reader would call one choice with text and nothing else, byte for byte,
and no event with usage, a finish reason, an error or anything else that the learned one did not hold.
"""

from __future__ import annotations

import re

_SPARE = re.compile(
    rb'("(?:id|created|system_fingerprint|obfuscation|token_ids)":[ ]?)'
    rb'(?:("[^"\\\x00-\x1f]*")|([0-9]+(?=[,}]))|(\[[0-9, ]*\]))'
)
"""Values that `read_event` never looks at, and that change from event to event or from answer to answer."""
_SPARE_VALUES = (rb'"[^"\\\x00-\x1f]*+"', rb"(?:0|[1-9][0-9]*+)", rb"\[(?:[0-9]++(?:,[ ]?[0-9]++)*+)?+\]")
_TEXT = (
    rb'"%b[^"\\\x00-\x1f]*+'
    rb'(?:\\(?:["\\/bfnrt]|u(?![dD][89a-fA-F])[0-9a-fA-F]{4})[^"\\\x00-\x1f]*+)*+"'  # halves of pairs are read as JSON
)
LEARNED_MAX = 4
"""Ways of one server to write content (text, reasoning); one whose events never look alike is read as JSON."""


class PlainEvents:
    """How one server writes events of plain content; shared by all answers of a target.

    empty: events without text count too.

    Attributes:
        one: matches one such event at a place of a block.
        run: matches as many as follow each other, none as well.
    """

    __slots__ = ("_empty", "_learned", "one", "run")

    def __init__(self, *, empty: bool = False) -> None:
        self._empty = empty
        self._learned: list[bytes] = []
        self.one = re.compile(rb"(?!)").match
        self.run = re.compile(b"").match

    def learn(self, key: str, data: bytes) -> None:
        """Take the data of an event that holds content under `key` in its only choice, and nothing else."""
        if len(self._learned) == LEARNED_MAX:
            return
        pattern = _pattern(key.encode(), data, empty=self._empty)
        if pattern is None or pattern in self._learned:
            return
        self._learned.append(pattern)
        event = rb"(?:%b)" % b"|".join(self._learned)
        self.one = re.compile(event).match
        self.run = re.compile(event + rb"*+").match

    @property
    def known(self) -> bool:
        """Whether anything was learned."""
        return bool(self._learned)


def _pattern(key: bytes, data: bytes, *, empty: bool) -> bytes | None:
    """What events that look like this one have in common; None where its text has no one place."""
    places = list(re.finditer(rb'"%b":[ ]?"' % re.escape(key), data))
    if len(places) != 1 or b"\n" in data:
        return None
    start = places[0].end() - 1
    text = re.compile(_TEXT % b"").match(data, start)
    if text is None:
        return None
    before, after = _common(data[:start]), _common(data[text.end() :])
    return b"".join((rb"data:[ ]?", before, _TEXT % (b"" if empty else rb'(?!")'), after, rb"\n\n"))


def _common(part: bytes) -> bytes:
    pieces, position = [], 0
    for found in _SPARE.finditer(part):
        pieces += [re.escape(part[position : found.end(1)]), _SPARE_VALUES[(found.lastindex or 2) - 2]]
        position = found.end()
    return b"".join([*pieces, re.escape(part[position:])])
