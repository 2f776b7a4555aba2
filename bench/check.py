"""The regression gate's errors, by simulation of the whole gate: the table of docs/ci.md.

The noise is that of tests/peakday/gate/noise.json (`peakday check --noise`), twice and five times that.
"""

from __future__ import annotations

from peakday.gate.settings import MARGINS, Regression
from tests.peakday.gate.simulated_checks import rates
from tests.peakday.gate.test_regression import machine

CHANGES = {"none": {}, "+20% TTFT": {"ttft_s_p50": 0.20}, "+20% token gap": {"tpot_s_p50": 0.20}}


def main(checks: int = 2_000) -> None:
    """Print the table as markdown."""
    print("| noise | true change | pairs at most | failed | passed | inconclusive | pairs until it stopped |")
    print("|---|---|---|---|---|---|---|")
    for factor in (1, 2, 5):
        for name, changes in CHANGES.items():
            for looks in ((4,), (4, 8), (4, 8, 12)):
                gate = Regression(metrics=dict(MARGINS), looks=looks)
                shares = rates(machine(factor), changes, gate, checks=checks, seed=7)
                print(
                    f"| {factor}x | {name} | {looks[-1]} | {shares.fail:.1%} | {shares.passed:.1%} | "
                    f"{shares.inconclusive:.1%} | {shares.pairs:.1f} |"
                )


if __name__ == "__main__":
    main()
