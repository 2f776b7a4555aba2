"""From timings of a real engine to a `StepModel`: limits read, coefficients searched, terms chosen, error stated.

1. Limits: what is not stated is read from plateaus of the data (`limits.py`), the likeliest of what they allow is kept.
2. Coefficients: bounded least squares over simulations of the same requests, from several starts (`search.py`).
3. Terms: models of 3 to 6 terms are fitted without some load steps and predict them; the likeliest is kept, the smaller
   one where they are as good. Its predictions are the hold-out table. The coefficients are then those of all steps.
4. Refusals: a sweep that cannot tell what a full batch costs, or predictions that are too far off, give no model.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from capacity.calibration.certainty import KNOWN, certainty
from capacity.calibration.evidence import QUANTILES, TAIL_MIN, Evidence
from capacity.calibration.hits import HIT_RATIO, UNSEEN_HITS_ERROR, hit_notes, with_hits
from capacity.calibration.limits import (
    CalibrationError,
    EngineLimits,
    ceilings,
    options,
    refuse_contradicted,
    token_candidates,
)
from capacity.calibration.observed import Observed
from capacity.calibration.prediction import with_expected
from capacity.calibration.refusals import (
    CALLS_MIN,
    first_refusal,
    refuse_apart,
    refuse_few,
    refuse_light,
    refuse_misfit,
    relative_error,
    telling,
    unknown_limit_notes,
    within_reach,
)
from capacity.calibration.search import (
    PACE_SIGMA,
    TERM_SETS,
    Guess,
    Problem,
    Solution,
    drift_sigma,
    empty_buckets,
    search,
    served,
    starts,
    values_of,
    with_values,
)
from capacity.rows.figures import weakest
from capacity.simulator.requests import Floats
from neuron_bench.step_model import Coefficients, HoldOut, StepModel

CLEARLY_NEARER = 1.5
"""A sweep's own coefficients replace those of a bench when their cost is this many times less."""
CLEARLY_LIKELIER = 6.0
"""Another limit is believed when it raises the log-likelihood by this much."""
LIKELIER = 1.5
"""Another budget of a step is taken when it raises it by this much: each is one of a few usual numbers."""
AS_GOOD = 1.0
"""A model of fewer terms is kept when its held-out log-likelihood is within this of the best."""
FIGURES_PER_FACT = 3.0
"""Figures of one load step share their calls; so many of them count as one."""
LEVEL_WEIGHT = 0.008
"""Quantile loss that moving the level of pace by its standard error must win."""
CONDITION_MAX = 1e3
P99_CALLS_MIN = 1_000
"""Ten calls beyond the p99; below this the p95 stands in."""


@dataclass(frozen=True)
class Identity:
    """What was measured: written into the step model as given."""

    model_id: str
    chip: str
    tp: int
    chips_per_replica: float
    engine: str
    version: str
    date: str
    instance_type: str | None = None


def calibrate(
    runs: Sequence[Observed],
    limits: EngineLimits,
    identity: Identity,
    *,
    bench: StepModel | None = None,
    replicas: int = 1,
    drift: float | None = None,
) -> StepModel:
    """The engine behind a rate sweep, with what was predicted of load steps that were left out of the fit.

    With fewer than three runs the last third of each is left out. A bench of the same model tells apart what a sweep
    cannot (prompts of one length, say): its coefficients are another place to start from, and are kept unless the
    sweep's own come clearly nearer to the runs. replicas: how many share the address, least loaded first. drift: how
    far the machine's pace may lie apart between load steps, end to end, where that is known; else it is estimated.

    Raises:
        CalibrationError: too few calls, nothing but light load, a stated limit that the data contradict, or invented
            provenance.
    """
    model, refusal = fitted(runs, limits, identity, bench=bench, replicas=replicas, drift=drift)
    if refusal is not None:
        raise refusal
    return model


def fitted(
    runs: Sequence[Observed],
    limits: EngineLimits,
    identity: Identity,
    *,
    bench: StepModel | None = None,
    replicas: int = 1,
    drift: float | None = None,
) -> tuple[StepModel, CalibrationError | None]:
    """As `calibrate`, with the model of a sweep that is refused and why: so refusals themselves can be judged.

    Raises:
        CalibrationError: too few calls, a stated limit that the data contradict, or invented provenance.
    """
    refuse_few(runs)
    sweep, unseen = with_hits(sorted(runs, key=lambda run: run.rate_per_s))
    refuse_contradicted(limits, sweep, replicas)
    evidence = [Evidence(run) for run in sweep]
    problem, guess, limit_notes = _with_limits(evidence, limits, identity, replicas, bench, drift)
    terms, folds = _terms(problem, guess)
    final = _levelled(problem, problem.solve(guess, terms, 12) if terms != TERM_SETS[-1] else guess)
    solution = problem.solution(final, terms)
    model = with_values(problem.model, final.values)
    table = tuple(folds)
    known_rows = within_reach(table, sweep)
    error = relative_error([row for row in known_rows if telling(row, known_rows)])
    all_rows = [*known_rows, *(hold_out_rows(sweep[-1], model, replicas) if len(known_rows) < len(table) else [])]
    refusal = first_refusal(
        lambda: refuse_misfit(all_rows, error),
        lambda: refuse_apart(final.pace, drift),
        lambda: refuse_light(sweep, model, solution, replicas),
    )
    pace = pace_sigma(final.pace) if drift is None else drift_sigma(drift)
    known = certainty(sweep, model, solution, pace, replicas)
    whole = replace(
        model,
        covariance=_covariance(solution),
        condition_number=solution.condition,
        validity=_validity(sweep, replicas) | {KNOWN: (0.0, known.known_per_s)} | _hit_ratio(unseen),
        hold_out=table,
        relative_error=error if unseen is None else math.hypot(error, UNSEEN_HITS_ERROR),
        provenance=weakest([*(run.provenance for run in runs), *([bench.provenance] if bench else [])]),
        inputs=(*(run.name for run in sweep), *(bench.inputs if bench else ())),
        pace_sigma=pace,
        notes=(
            *limit_notes,
            *hit_notes(sweep, unseen),
            *_notes(model, solution, terms, pace),
            *known.notes(len(sweep)),
            *unknown_limit_notes(sweep, model, limits, replicas),
        ),
    )
    return with_expected(whole, sweep) if replicas == 1 else whole, refusal


def pace_sigma(paces: Floats) -> float:
    """Spread of the machine's pace between load steps: the default, moved by what was seen as far as that can tell."""
    prior, seen = 3.0, max(len(paces) - 1, 0)
    return math.sqrt((prior * PACE_SIGMA**2 + float(np.sum(paces**2))) / (prior + seen))


def _with_limits(
    evidence: Sequence[Evidence],
    limits: EngineLimits,
    identity: Identity,
    replicas: int,
    bench: StepModel | None,
    drift: float | None,
) -> tuple[Problem, Guess, tuple[str, ...]]:
    """The likeliest limits and the best coefficients under them."""
    runs = [each.run for each in evidence]
    choice = options(limits, runs, replicas)
    free = Problem(evidence, _base(choice.generous, identity), replicas, drift)
    best = _Trial(free, search(free, starts(evidence)), choice.generous)
    singles = [*choice.seqs, *choice.kv]
    for others in (singles, singles):  # one limit, and then perhaps another beside it
        joined = [_joined(best.limits, option, choice.generous) for option in others]
        trials = [_trial(best, limits, identity) for limits in joined if limits != best.limits]
        likeliest = min(trials, key=lambda trial: trial.cost, default=best)
        if likeliest.cost >= best.cost - CLEARLY_LIKELIER:
            break
        best = likeliest
    problem, guess, option = best.problem, best.guess, best.limits
    if option != choice.generous:
        problem.weigh(guess)
        guess = min((guess, problem.solve(guess, TERM_SETS[-1], 10)), key=problem.cost)
        problem.weigh(guess)
    if limits.max_batched_tokens is None:
        problem, guess, option = _budget(problem, guess, option, identity)
    if bench is not None:
        guess = _with_bench(problem, guess, bench)
    return problem, guess, _limit_notes(limits, option, runs, replicas)


@dataclass(frozen=True)
class _Trial:
    """Limits, and the best coefficients under them."""

    problem: Problem
    guess: Guess
    limits: EngineLimits

    @property
    def cost(self) -> float:
        """Negative log-likelihood."""
        return self.problem.cost(self.guess) / FIGURES_PER_FACT


def _trial(before: _Trial, limits: EngineLimits, identity: Identity) -> _Trial:
    problem = before.problem.limited(_base(limits, identity))
    return _Trial(problem, problem.solve(before.guess, TERM_SETS[-1], 7), limits)


def _joined(limits: EngineLimits, option: EngineLimits, generous: EngineLimits) -> EngineLimits:
    """The limits with the one in which an option differs from none."""
    if option.max_num_seqs != generous.max_num_seqs:
        return replace(limits, max_num_seqs=option.max_num_seqs)
    return replace(limits, kv_blocks=option.kv_blocks)


def _budget(
    problem: Problem, guess: Guess, option: EngineLimits, identity: Identity
) -> tuple[Problem, Guess, EngineLimits]:
    """The likeliest budget of a step; the usual one where the data do not tell."""
    best, best_cost = (problem, guess, option), problem.cost(guess) / FIGURES_PER_FACT - LIKELIER
    for other in token_candidates(option, [each.run for each in problem.evidence]):
        trial = problem.limited(_base(other, identity))
        moved = trial.solve(guess, TERM_SETS[-1], 3)
        if (cost := trial.cost(moved) / FIGURES_PER_FACT) < best_cost:
            best, best_cost = (trial, moved, other), cost
    if best[2] is not option:
        trial, moved, other = best
        best = (trial, trial.solve(moved, TERM_SETS[-1], 10), other)
    return best


def _with_bench(problem: Problem, guess: Guess, bench: StepModel) -> Guess:
    level = np.zeros(len(problem.evidence))
    both = problem.solve(Guess(values_of(bench), level), TERM_SETS[-1], 10)
    return both if problem.cost(both) <= CLEARLY_NEARER * problem.cost(guess) else guess


def _terms(problem: Problem, guess: Guess) -> tuple[str, list[HoldOut]]:
    """The terms that predict left-out load steps best, and those predictions."""
    number = len(problem.evidence)
    if number < 3:
        return TERM_SETS[-1], _split_rows(problem, guess)
    folds = [[i for i in range(number) if i % 3 == fold] for fold in range(3)]
    losses: dict[str, float] = {}
    rows: dict[str, list[HoldOut]] = {}
    for terms in TERM_SETS:
        losses[terms], rows[terms] = 0.0, []
        for fold in folds:
            kept = [i for i in range(number) if i not in fold]
            part = problem.of(kept)
            fitted = part.solve(Guess(guess.values, guess.pace[kept]), terms, 6)
            model = with_values(problem.model, fitted.values)
            for i in fold:
                losses[terms] += _held_out_loss(problem, i, fitted.values)
                rows[terms] += hold_out_rows(problem.evidence[i].run, model, problem.replicas)
    least = min(losses.values())
    chosen = next(terms for terms in TERM_SETS if losses[terms] <= least + AS_GOOD)
    order = {run.run.name: place for place, run in enumerate(problem.evidence)}
    return chosen, sorted(rows[chosen], key=lambda row: order[row.case.rpartition(" at ")[0]])


def _levelled(problem: Problem, guess: Guess) -> Guess:
    """The level of pace at which the quantiles of all load steps lie nearest, within what their mean leaves open.

    Single paces say how the steps differ; which of them is the engine's own is known to their spread over the root of
    their number only.
    """
    runs = [each.run for each in problem.evidence]
    sigma = problem.pace_sigma / math.sqrt(len(runs))

    def loss(level: float) -> float:
        model = with_values(problem.model, guess.values * math.exp(level))
        return quantile_loss(runs, model, problem.replicas) + LEVEL_WEIGHT * (level / sigma) ** 2

    level = min((share * sigma for share in np.linspace(-2.0, 2.0, 17)), key=loss)
    return Guess(guess.values * math.exp(level), guess.pace - level)


def _held_out_loss(problem: Problem, number: int, values: Floats) -> float:
    """Negative log-likelihood of a load step that was left out, at its likeliest pace."""
    return min(
        0.5 * (float(np.sum(problem.residual(number, values, pace) ** 2)) / FIGURES_PER_FACT + (pace / PACE_SIGMA) ** 2)
        for pace in (-0.12, -0.08, -0.04, 0.0, 0.04, 0.08, 0.12)
    )


def _split_rows(problem: Problem, guess: Guess) -> list[HoldOut]:
    """The last third of every run, predicted from the rest."""
    parts = [each.run.split(2 / 3) for each in problem.evidence]
    part = Problem([Evidence(first) for first, _ in parts], problem.model, problem.replicas, problem.drift)
    part.weigh(guess)
    model = with_values(problem.model, part.solve(guess, TERM_SETS[-1], 8).values)
    return [row for _, last in parts for row in hold_out_rows(last, model, problem.replicas)]


def hold_out_rows(run: Observed, model: StepModel, replicas: int = 1) -> list[HoldOut]:
    """What the model predicts for a run it may never have seen, beside what was measured.

    Quantiles whose tail holds fewer than ten calls are left out: p99 below 1,000 calls, p95 below 200.
    """
    work = run.requests()
    predicted = served(work, model, replicas)
    ttft_s, tpot_s = predicted.ttft_s[run.included], predicted.tpot_s[run.included[run.output_tokens > 1]]
    measured_end = run.arrival_s + run.ttft_s + run.decode_s
    predicted_end = work.arrival_s + predicted.e2e_s
    tokens = float(run.output_tokens.sum())
    rows = [
        (
            "output_tokens_per_s",
            tokens / _span(run.arrival_s, measured_end),
            tokens / _span(run.arrival_s, predicted_end),
        ),
        ("tpot_s_p50", _at(run.tpot_s, 0.5), _at(tpot_s, 0.5)),
        ("ttft_s_p50", _at(run.ttft_s[run.included], 0.5), _at(ttft_s, 0.5)),
    ]
    included = int(run.included.sum())
    tail = 0.99 if included >= P99_CALLS_MIN else 0.95
    if included >= CALLS_MIN:
        label = f"p{round(tail * 100)}"
        rows.append((f"tpot_s_{label}", _at(run.tpot_s, tail), _at(tpot_s, tail)))
        rows.append((f"ttft_s_{label}", _at(run.ttft_s[run.included], tail), _at(ttft_s, tail)))
    case = f"{run.name} at {run.rate_per_s:.3g}/s"
    return [HoldOut(case, name, measured, predicted, included) for name, measured, predicted in rows]


def quantile_loss(runs: Sequence[Observed], model: StepModel, replicas: int = 1) -> float:
    """Mean squared logarithm of predicted over measured quantiles, of first tokens and gaps, run by run."""
    errors = []
    for run in runs:
        times = served(run.requests(), model, replicas)
        included = run.included
        pairs = (
            (times.ttft_s[included], run.ttft_s[included]),
            (times.tpot_s[included[run.output_tokens > 1]], run.tpot_s),
        )
        for predicted, measured in pairs:
            shares = [share for share in QUANTILES if len(measured) * (1 - share) >= TAIL_MIN]
            ratio = np.quantile(predicted, shares) / np.maximum(np.quantile(measured, shares), 1e-9)
            errors.append(np.log(np.maximum(ratio, 1e-9)))
    return float(np.mean(np.concatenate(errors) ** 2))


def _base(limits: EngineLimits, identity: Identity) -> StepModel:
    """An engine with these limits, its coefficients still to be found."""
    assert limits.max_num_seqs is not None
    assert limits.max_batched_tokens is not None
    assert limits.kv_blocks is not None
    return StepModel(
        model_id=identity.model_id,
        chip=identity.chip,
        tp=identity.tp,
        chips_per_replica=identity.chips_per_replica,
        buckets=_buckets(limits),
        max_num_seqs=limits.max_num_seqs,
        max_batched_tokens=limits.max_batched_tokens,
        block_tokens=limits.block_tokens,
        kv_blocks=limits.kv_blocks,
        ttft_overhead_s=0.0,
        gap_overhead_s=0.0,
        provenance="measured",
        relative_error=0.0,
        engine=identity.engine,
        version=identity.version,
        date=identity.date,
        source="peakday calibrate",
        instance_type=identity.instance_type,
    )


def _buckets(limits: EngineLimits) -> tuple[Coefficients, ...]:
    if not (limits.token_buckets or limits.seq_buckets):
        return (Coefficients(1e-3, 0.0, 0.0, 0.0, 0.0),)
    assert limits.max_batched_tokens is not None
    assert limits.max_num_seqs is not None
    tokens = limits.token_buckets or (limits.max_batched_tokens,)
    return empty_buckets(tokens, limits.seq_buckets or (limits.max_num_seqs,))


def _covariance(solution: Solution) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(float(value) for value in row[:5]) for row in solution.covariance[:5])


def _validity(runs: Sequence[Observed], replicas: int) -> dict[str, tuple[float, float]]:
    def over(values: list[float]) -> tuple[float, float]:
        return min(values), max(values)

    context = [float((run.input_tokens + run.output_tokens / 2).mean()) for run in runs]
    return {
        "input_tokens": over([float((run.input_tokens - run.cached_tokens).mean()) for run in runs]),
        "output_tokens": over([float(run.output_tokens.mean()) for run in runs]),
        "context_tokens": over(context),
        "decoding": (1.0, max(1.0, max(run.decoding_max() for run in runs) / replicas)),
        "requests_per_s": over([run.rate_per_s for run in runs]),
    }


def _hit_ratio(unseen: float | None) -> dict[str, tuple[float, float]]:
    return {} if unseen is None else {HIT_RATIO: (unseen, unseen)}


def _limit_notes(stated: EngineLimits, used: EngineLimits, runs: Sequence[Observed], replicas: int) -> tuple[str, ...]:
    seqs, held = ceilings(runs, replicas)
    notes = []
    if stated.max_num_seqs is None:
        reached = used.max_num_seqs is not None and used.max_num_seqs <= 1.1 * seqs.most + 1
        notes.append(
            f"max_num_seqs {used.max_num_seqs} read from a plateau in {seqs.name}"
            if reached
            else f"max_num_seqs not reached: at most {seqs.most:.0f} requests decoded at once"
        )
    if stated.kv_blocks is None and used.kv_blocks is not None:
        kv_tokens = used.kv_blocks * used.block_tokens
        notes.append(
            f"KV memory of {kv_tokens:,} tokens read from a plateau in {held.name}"
            if kv_tokens <= 1.2 * held.most
            else f"KV memory not reached: at most {held.most:,.0f} tokens were kept at once"
        )
    if stated.max_batched_tokens is None:
        notes.append(f"max_batched_tokens taken as {used.max_batched_tokens}, the likeliest")
    return tuple(notes)


def _notes(model: StepModel, solution: Solution, terms: str, pace: float) -> tuple[str, ...]:
    k = model.coefficients
    names = ", ".join("overhead" if term == "o" else term for term in terms)
    notes = [
        f"terms {names}, by held-out likelihood; pace of the machine between load steps {pace:.1%} (one sigma)",
        "hold-out rows: predicted without their load step; the coefficients are those of all of them",
    ]
    if solution.condition > CONDITION_MAX:
        notes.append(
            f"condition number {solution.condition:.3g}: some coefficients trade against each other; see measure next"
        )
    if k.b == 0 or k.e == 0:
        notes.append("measure next: a run with prompts several times longer, to tell b from e")
    if k.c == 0 or k.d == 0:
        notes.append("measure next: a run with longer contexts at the same rate, to tell c from d")
    return tuple(notes)


def _span(start_s: Floats, end_s: Floats) -> float:
    return float(end_s.max() - start_s.min())


def _at(values: Floats, quantile: float) -> float:
    return float(np.quantile(values, quantile)) if len(values) else 0.0
