"""The SLOs of a run: each limit, what was measured with its bounds, and met, missed, or not enough turns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from loadgen.record import Run
from peakday.gate.slo import judge
from peakday.gate.verdicts import Line, Verdict
from slo.slo import Slo

WORDS = {Verdict.PASS: "met", Verdict.FAIL: "missed", Verdict.INCONCLUSIVE: "not enough turns"}


def slo_lines(run: Run, slos: Sequence[Slo], length_s: float) -> list[Line]:
    """Every SLO of a scenario over one run, as the gate judges it."""
    return [judge(slo, [run], length_s) for slo in slos]


def slo_data(lines: Sequence[Line]) -> list[dict[str, object]]:
    """As `--json` has them; the summary of a run shows them on a terminal."""
    return [{**asdict(line), "verdict": WORDS[line.verdict]} for line in lines]


def any_missed(lines: Sequence[Line]) -> bool:
    """Whether an SLO is missed, and surely so."""
    return any(line.verdict is Verdict.FAIL for line in lines)
