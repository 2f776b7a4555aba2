"""What a gate says: one line per metric, and what all lines together mean for the shell."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TypedDict

from host.errors import Exit


class Verdict(enum.StrEnum):
    """pass and fail are evidence; inconclusive means more is needed; invalid that our own machinery was at fault.

    broken: a build or its start failed. refused: a mistake in what was typed or in a file that it names.
    """

    PASS = "pass"  # noqa: S105 (a verdict, no password)
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"
    INVALID = "invalid"
    BROKEN = "broken"
    REFUSED = "refused"
    WARN = "warn"


@dataclass(frozen=True)
class Line:
    """One metric under one gate.

    Attributes:
        gate: exact, slo, regression, history or record.
        baseline: what it is held against: the earlier value, or the limit; None where there is none.
        change: candidate over baseline, minus 1; `lo` and `hi` its one-sided bounds. None where it has none.
        why: one sentence that a reader who did not run it understands.
        fix: what settles an inconclusive line, where one thing does.
    """

    gate: str
    metric: str
    verdict: Verdict
    why: str
    baseline: float | str | None = None
    candidate: float | str | None = None
    change: float | None = None
    lo: float | None = None
    hi: float | None = None
    fix: str = field(default="", kw_only=True)


class Moment(TypedDict):
    """A scripted turn that changed. changes: what, before and after, of each."""

    turn: object
    message: object
    changes: list[list[object]]


@dataclass(frozen=True)
class Outcome:
    """Everything a check found. `moments`: scripted turns that changed; `notes`: what a reader must know."""

    scenario: str
    lines: tuple[Line, ...]
    notes: tuple[str, ...] = ()
    moments: tuple[Moment, ...] = ()
    facts: dict[str, object] = field(default_factory=dict)

    @property
    def verdict(self) -> Verdict:
        """The gravest of all gates: refused, broken, fail, invalid, inconclusive, pass. Without a line inconclusive."""
        return overall(line.verdict for line in self.lines)

    @property
    def exit_code(self) -> Exit:
        """What the shell sees."""
        return EXITS[self.verdict]


EXITS = {
    Verdict.PASS: Exit.OK,
    Verdict.FAIL: Exit.GATE_FAILED,
    Verdict.INVALID: Exit.INVALID_RUN,
    Verdict.BROKEN: Exit.ENVIRONMENT,
    Verdict.REFUSED: Exit.USAGE,
    Verdict.INCONCLUSIVE: Exit.INCONCLUSIVE,
}
_ORDER = (Verdict.REFUSED, Verdict.BROKEN, Verdict.FAIL, Verdict.INVALID, Verdict.INCONCLUSIVE, Verdict.PASS)


def overall(verdicts: Iterable[Verdict]) -> Verdict:
    """The gravest; warnings do not count, and where no gate decided nothing has passed."""
    present = set(verdicts)
    return next((verdict for verdict in _ORDER if verdict in present), Verdict.INCONCLUSIVE)
