"""The SLO gate: is an SLO met, missed, or is there too little evidence?

An SLO on a percentile is one on a share of turns, so it is judged by counting misses (`slo.slo.misses`), with the runs,
or the batches of a single run, as the units of `slo.bounds`. Other metrics have one value per run and a one-sided t
bound over the runs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from loadgen.analysis.totals import failed_codes
from loadgen.record import Run
from peakday.config import CHECKS_FILE
from peakday.gate.metrics import interaction_costs, run_value
from peakday.gate.verdicts import Line, Verdict
from slo.bounds import BATCHES, Batch, batches_of, mean_bounds, one_batch, share_bounds, turns_to_show
from slo.slo import COST, RATIOS, Slo

GATE = "slo"
ALPHA = 0.05
TAIL_MIN = 100


def judge(slo: Slo, runs: Sequence[Run], length_s: float) -> Line:
    """One SLO over the runs of one build; a single run is cut into batches of time."""
    if not sum(len(run.turns) for run in runs):
        why = "zero traffic: no turn was offered, so nothing was met or missed"
        return Line(GATE, slo.name, Verdict.INCONCLUSIVE, why, str(slo))
    if slo.allowed_ratio is not None:
        line = judge_share(slo, batches(slo, runs, length_s))
        return replace(line, why=line.why + _failures(runs)) if line.verdict is Verdict.FAIL else line
    values = [run_value(run, slo.metric) for run in runs]
    if any(value is None for value in values):
        why = f"{slo.name} is missing in {sum(value is None for value in values)} of {len(runs)} runs: vanished"
        return Line(GATE, slo.name, Verdict.INCONCLUSIVE, why, str(slo))
    return judge_mean(slo, [value for value in values if value is not None])


def _failures(runs: Sequence[Run]) -> str:
    """How turns failed, the most frequent codes first; empty where none did."""
    codes = Counter(code for run in runs for code in failed_codes(run.turns))
    most = ", ".join(f"{code} x {count}" for code, count in codes.most_common(3))
    return f"; {codes.total()} turns failed: {most}" if codes else ""


def batches(slo: Slo, runs: Sequence[Run], length_s: float) -> list[Batch]:
    """Misses of each run, or of each batch of a single one; of interactions where the SLO is about their cost."""
    if slo.metric == COST:
        return _cost_batches(slo, runs, length_s)
    if len(runs) > 1:
        return [one_batch(run.turns, slo) for run in runs]
    return batches_of(runs[0].turns, slo, 0.0, length_s)


def _cost_batches(slo: Slo, runs: Sequence[Run], length_s: float) -> list[Batch]:
    """An interaction belongs to the batch in which its first turn is due."""
    if len(runs) > 1:
        missed = [~interaction_costs(run).map(slo.met_by).astype(bool) for run in runs]
        return [Batch(int(each.sum()), len(each)) for each in missed]
    costs = interaction_costs(runs[0])
    start_s = runs[0].turns.groupby("interaction_id")["intended_start_s"].min().reindex(costs.index).fillna(0.0)
    number = np.clip(start_s.to_numpy() * BATCHES / max(length_s, 1e-9), 0, BATCHES - 1).astype(int)
    over = (~costs.map(slo.met_by).astype(bool)).to_numpy()
    return [Batch(int(over[number == i].sum()), int((number == i).sum())) for i in range(BATCHES)]


def judge_share(slo: Slo, counted: Sequence[Batch]) -> Line:
    """Whether at most the allowed share misses, by exact bounds on the counts."""
    allowed = slo.allowed_ratio
    assert allowed is not None
    bounds = share_bounds(counted, ALPHA)
    if bounds.ratio is None:
        why = f"no {slo.unit.removesuffix('s')} tells whether it missed: nothing to judge"
        return Line(GATE, slo.name, Verdict.INCONCLUSIVE, why, str(slo))
    what = "failed" if slo.metric in RATIOS else "missed it"
    why = f"{bounds.missed} of {bounds.turns} {slo.unit} {what}; {allowed:.3g} may"
    why += f", bounds {bounds.lower:.3g} to {bounds.upper:.3g}"
    why += f" (counts as 1 in {bounds.design_effect:.1f}: misses come in bursts)" if bounds.design_effect > 1.05 else ""
    thin = "~" if slo.quantile is not None and bounds.turns * allowed < TAIL_MIN else ""
    shown = f"{thin}{bounds.ratio:.3g} missed" if slo.quantile is not None else bounds.ratio
    if bounds.upper <= allowed:
        return Line(GATE, slo.name, Verdict.PASS, why, str(slo), shown)
    if bounds.lower > allowed:
        return Line(GATE, slo.name, Verdict.FAIL, why, str(slo), shown)
    why = f"{why}; {_remedy(slo, bounds.missed, allowed)}"
    fix = f"under runs in {CHECKS_FILE}, slo_runs: {2 * len(counted)}" if allowed else ""
    return Line(GATE, slo.name, Verdict.INCONCLUSIVE, why, str(slo), shown, fix=fix)


def _remedy(slo: Slo, missed: int, allowed: float) -> str:
    if not allowed:
        return f"no number of {slo.unit} shows that none ever will; allow a share, such as 0.001"
    if missed:
        return "more runs would tell"
    return f"with no miss it takes {turns_to_show(allowed, ALPHA)} {slo.unit} to pass"


def judge_mean(slo: Slo, values: Sequence[float]) -> Line:
    """One value per run against a limit, by a one-sided t bound."""
    mean, low, high = mean_bounds(values, ALPHA)
    if len(values) < 2:
        why = f"one run gives {mean:.4g} and no idea of its scatter; ask for more runs"
        return Line(GATE, slo.name, Verdict.INCONCLUSIVE, why, str(slo), mean)
    worst, best = (high, low) if slo.upper else (low, high)
    why = f"mean of {len(values)} runs {mean:.4g}, bounds {low:.4g} to {high:.4g}"
    if slo.met_by(worst):
        return Line(GATE, slo.name, Verdict.PASS, why, str(slo), mean)
    verdict = Verdict.INCONCLUSIVE if slo.met_by(best) else Verdict.FAIL
    return Line(GATE, slo.name, verdict, why, str(slo), mean)
