"""Whether the first part of a trace foretells its last: each figure with its prediction interval, and what came."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from scenarios.profile.figures import PAUSE_S, starts, tool_seconds
from scenarios.profile.prefixes import repeated_ratio
from scenarios.traces.session import Session, Trace

CONFIDENCE = 0.8
LAST_SHARE = 0.2
SAMPLES_MIN = 8
REPEATED_HALF = 0.1
"""A share of tokens has no sampling error that its sessions show; this half-width is a choice of ours."""
Z = 1.2815515594457831
"""The normal distribution's 0.9 quantile: 80% lies within."""


@dataclass(frozen=True)
class Foretold:
    """One figure: what the first part says the last will show, with its interval, and what it shows."""

    name: str
    predicted: float
    low: float
    high: float
    actual: float

    @property
    def inside(self) -> bool:
        """Whether the interval held it."""
        return self.low <= self.actual <= self.high


_MEANS: tuple[tuple[str, Callable[[Sequence[Session]], list[float]]], ...] = (
    ("turns per session", lambda part: [float(len(s.turns)) for s in part]),
    ("calls per turn", lambda part: [float(len(turn.calls)) for s in part for turn in s.turns]),
    (
        "think time, log s",
        lambda part: [math.log(t.think_s) for s in part for t in s.turns if t.think_s and 0 < t.think_s <= PAUSE_S],
    ),
    ("tool time, log s", lambda part: [math.log(x) for s in part for x in tool_seconds(s.turns)]),
    ("input tokens per call", lambda part: [float(c.input_tokens) for s in part for c in s.calls if c.input_tokens]),
    ("output tokens per call", lambda part: [float(c.output_tokens) for s in part for c in s.calls if c.output_tokens]),
)


def back_test(trace: Trace) -> tuple[Foretold, ...]:
    """Figures of the sessions that began in the first four fifths, against those of the rest.

    The interval of a mean of m values from n: mean -+ z * sd * sqrt(1/n + 1/m); sd between sessions, where values of
    one session are alike. Sessions that the file's end cuts short pull the last part down, and so does its start.
    """
    first, last = split(trace)
    if not first or not last:
        return ()
    foretold = [figure for name, values in _MEANS if (figure := _mean(name, values, first, last)) is not None]
    if trace.clock:
        foretold += _rate(first, last)
    early, late = repeated_ratio(first), repeated_ratio(last)
    if early is not None and late is not None:
        low, high = early - REPEATED_HALF, early + REPEATED_HALF
        foretold.append(Foretold("repeated prompt tokens", early, low, high, late))
    return tuple(foretold)


def split(trace: Trace) -> tuple[list[Session], list[Session]]:
    """Sessions of the first part and the last: by their start, or in their order where they have no clock."""
    sessions = list(trace.sessions)
    if not trace.clock:
        place = round(len(sessions) * (1 - LAST_SHARE))
        return sessions[:place], sessions[place:]
    border_s = sessions[-1].start_s * (1 - LAST_SHARE)
    return [s for s in sessions if s.start_s < border_s], [s for s in sessions if s.start_s >= border_s]


def _mean(
    name: str, values: Callable[[Sequence[Session]], list[float]], first: list[Session], last: list[Session]
) -> Foretold | None:
    """A mean over sessions' own means, weighted by their counts."""
    parts = [[own for session in part if (own := values([session]))] for part in (first, last)]
    if min(len(part) for part in parts) < SAMPLES_MIN:
        return None
    if len({value for part in parts for own in part for value in own}) == 1:
        return None  # nothing to foretell
    mean, actual = (sum(map(sum, part)) / sum(map(len, part)) for part in parts)
    n, m = (len(part) for part in parts)
    size = sum(map(len, parts[0])) / n
    residual = np.array([sum(own) - mean * len(own) for own in parts[0]]) / size
    half = Z * float(residual.std(ddof=1)) * math.sqrt(1 / n + 1 / m)
    if name.endswith(", log s"):
        name, mean, actual = f"{name.removesuffix(', log s')}, s", mean, actual
        return Foretold(name, math.exp(mean), math.exp(mean - half), math.exp(mean + half), math.exp(actual))
    return Foretold(name, mean, mean - half, mean + half, actual)


def _rate(first: list[Session], last: list[Session]) -> list[Foretold]:
    """Sessions per second of the last part, from the scatter of equal spans of the first."""
    end_s, border_s = last[-1].start_s, first[-1].start_s
    span_s = end_s - border_s
    spans = int(border_s // span_s) if span_s > 0 else 0
    if spans < 3:
        return []
    counts = np.histogram([s.start_s for s in first], bins=spans, range=(0.0, border_s))[0] / (border_s / spans)
    half = Z * float(counts.std(ddof=1)) * math.sqrt(1 + 1 / spans)
    mean = float(counts.mean())
    figures = [Foretold("sessions per s", mean, mean - half, mean + half, len(last) / span_s)]
    early, late = starts(first).cv, starts(_from_zero(last, border_s)).cv
    if early is not None and late is not None:
        half = Z * early * math.sqrt(1 / (2 * len(first)) + 1 / (2 * len(last))) * (1 + early**2)
        figures.append(Foretold("CV of gaps", early, early - half, early + half, late))
    return figures


def _from_zero(sessions: list[Session], border_s: float) -> list[Session]:
    """The same sessions, counted from the border: only their starts are looked at."""

    def earlier(session: Session) -> Session:
        first = session.turns[0]
        call = replace(first.calls[0], start_s=first.start_s - border_s, duration_s=None)
        return replace(session, turns=(replace(first, calls=(call,), tools=()),))

    return [earlier(session) for session in sessions]
