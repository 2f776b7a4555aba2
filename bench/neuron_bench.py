"""How steady a bench of this machine is, and how its times grow: `python -m bench neuron_bench`, when idle.

Rows: figure, reference, ratio. Expected: quick suite < 60 s; over six fresh processes the CV of
calibrated CPU time is <= 6% for prefill and <= 12% for decode when uncontended; prefill linear in tokens, decode
sub-linear in batch. Needs the extra `bench` (torch).
"""

import importlib.util
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from neuron_bench.fit import bench as fit
from neuron_bench.record import Bench, load_bench
from neuron_bench.trace import suite
from neuron_bench.trace.cases import EFFORTS, Case, Effort, decode, prefill

Row = tuple[str, float, float, float]
CV_RATIO_EXPECTED = {"prefill": 0.06, "decode": 0.12}
REPEATED = (prefill(1, 64, "float32"), prefill(1, 256, "float32"), decode(1, 256, "float32"), decode(4, 256, "float32"))
GROWTH = (
    *(prefill(1, tokens, "float32") for tokens in (32, 64, 128, 256, 512)),
    *(decode(batch, cache, "float32") for batch in (1, 2, 4, 8, 16) for cache in (256, 512)),
)


def measured(cases: Sequence[Case], effort: Effort, folder: Path) -> Bench:
    """One bench: every case in a fresh process."""
    return load_bench(suite.run(suite.Spec(cases=tuple(cases), effort=effort, suite="full"), folder))


def calibrated_s(bench: Bench) -> pd.Series:
    """Median CPU time of each case in units of its calibration product."""
    samples = pd.read_parquet(bench.path / "samples.parquet")
    return (samples.cpu_s / samples.calibration_s).groupby(samples.record_id).median()


def repeatability(processes: int, effort: Effort, cases: Sequence[Case] = REPEATED) -> tuple[list[Row], float]:
    """CV of each case over fresh processes against what is expected, and the share of contended cases."""
    with tempfile.TemporaryDirectory() as folder:
        benches = [measured(cases, effort, Path(folder) / str(number)) for number in range(processes)]
        values = pd.concat([calibrated_s(bench) for bench in benches], axis=1)
        contended = [flag for bench in benches for flag in bench.cases.contended.dropna()]
    spread = values.std(axis=1, ddof=1) / values.mean(axis=1)
    rows = []
    for case in cases:
        expected = CV_RATIO_EXPECTED[case.phase]
        cv = float(spread[case.label])
        rows.append(
            (f"CV of calibrated CPU time, {case.label}, n = {processes} processes", cv, expected, cv / expected)
        )
    return rows, float(np.mean(contended))


def growth(effort: Effort, cases: Sequence[Case] = GROWTH) -> list[Row]:
    """Times against the fitted step times (their residuals are the proof), and decode's growth against its batch's."""
    with tempfile.TemporaryDirectory() as folder:
        bench = measured(cases, effort, Path(folder) / "growth")
        observed = fit.observations(bench, max_batched_tokens=1 << 20)
    fitted = fit.fit_steps(observed)
    rows = [
        (f"step of {o.case}, s, against the fit", o.seconds, fitted.seconds(o), o.seconds / fitted.seconds(o))
        for o in observed
    ]
    decodes = sorted((o.kv_tokens / o.decoding, o.decoding, o.seconds) for o in observed if o.decoding)
    for cache in sorted({context for context, _, _ in decodes}):
        steps = [(batch, seconds) for context, batch, seconds in decodes if context == cache]
        longer, larger = steps[-1][1] / steps[0][1], steps[-1][0] / steps[0][0]
        rows.append(
            (f"decode, cache {cache:.0f}: time x{longer:.2f} for batch x{larger:.0f}", longer, larger, longer / larger)
        )
    return rows


def main(processes: int = 6, effort: Effort = EFFORTS["quick"]) -> None:
    """Print every row."""
    if importlib.util.find_spec("torch") is None:
        print("skipped: torch is not installed (pip install 'peakday[bench]')")
        return
    with tempfile.TemporaryDirectory() as folder:
        begin = time.perf_counter()
        suite.run(suite.Spec(), Path(folder) / "quick")
        spent = time.perf_counter() - begin
    rows, contended = repeatability(processes, effort)
    rows = [("quick suite of nano, s", spent, 60.0, spent / 60.0), *rows, *growth(effort)]
    for name, figure, reference, ratio in rows:
        print(f"{name:<70} {figure:>10.4f} {reference:>10.4f} {ratio:>7.3f}")
    print(f"contended share of the repeated cases: {contended:.0%}")


if __name__ == "__main__":
    main()
