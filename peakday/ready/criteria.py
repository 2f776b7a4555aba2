"""Each criterion held against the records: pass, fail, or not measured with the command that measures it."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from capacity.demand.forecast import range_quantile
from dashboards.numbers.units import show
from dashboards.order.verdict import order_verdict
from peakday.gate.verdicts import Verdict
from peakday.ready.checklist import Criterion
from peakday.ready.evidence import Evidence, Rehearsed
from peakday.ready.faults import FaultTried, command_for, failure_matrix
from peakday.ready.quotas import ramps, requests
from peakday.run.slo_table import slo_lines
from slo.slo import Slo, slos_of

RATE_SPARE = 0.95
"""A run counts as at the peak from this share of it on: offered rates scatter by Poisson. A choice of ours."""


class Result(enum.StrEnum):
    """What the records say of a criterion."""

    PASS = "pass"  # noqa: S105 (a result, no password)
    FAIL = "fail"
    NOT_MEASURED = "not measured"


@dataclass(frozen=True)
class Finding:
    """A criterion with its result. evidence: ID of the record, or who said it; command: what measures it anew."""

    criterion: Criterion
    result: Result
    words: str
    evidence: str = ""
    command: str = ""
    simulated: bool = False


@dataclass(frozen=True)
class _Measured:
    """What a measure makes of the evidence, before simulated evidence is set aside."""

    passed: bool | None
    words: str
    evidence: str = ""
    command: str = ""
    simulated: bool = False


def findings(evidence: Evidence) -> list[Finding]:
    """Every criterion in order: the scenario's SLOs, then the checklist's."""
    slos = slos_of(evidence.event.scenario.slo.model_dump())
    goals = [
        Criterion(id=f"slo_{slo.name}", title=f"{slo} at the p90 of the peak", measure="slo", source="scenario")
        for slo in slos
    ]
    return [
        *[_finding(goal, _slo(evidence, slo), evidence) for goal, slo in zip(goals, slos, strict=True)],
        *[_of_checklist(criterion, evidence) for criterion in evidence.checklist.criteria],
    ]


def _of_checklist(criterion: Criterion, evidence: Evidence) -> Finding:
    signed = evidence.event.file.checks.get(criterion.id)
    if criterion.measure == "person":
        if signed is None or not signed.result:
            answer = f"answer checks.{criterion.id} in the event file"
            return Finding(criterion, Result.NOT_MEASURED, "nobody has answered it", command=answer)
        said_by = ", ".join(text for text in (signed.by, signed.date) if text)
        return Finding(criterion, Result(signed.result), signed.evidence or "no evidence is written down", said_by)
    return _finding(criterion, MEASURES[criterion.measure](evidence), evidence)


def _finding(criterion: Criterion, measured: _Measured, evidence: Evidence) -> Finding:
    """Simulated evidence neither passes nor fails a criterion, unless the document is a dress rehearsal."""
    result = {True: Result.PASS, False: Result.FAIL, None: Result.NOT_MEASURED}[measured.passed]
    found = Finding(criterion, result, measured.words, measured.evidence, measured.command, measured.simulated)
    if measured.simulated and measured.passed is not None and not evidence.event.dress_rehearsal:
        word = "would pass" if measured.passed else "would fail"
        return replace(found, result=Result.NOT_MEASURED, words=f"{word}, but SIMULATED: {measured.words}")
    return found


# --- load --------------------------------------------------------------------------------------------------------


def peak_per_s(evidence: Evidence, share: float = 0.9) -> float:
    """Interactions a second over all regions at this quantile of demand."""
    return float(range_quantile(evidence.event.scenario.demand.interactions.peak_per_s, share))


def _run_command(evidence: Evidence, length: str = "15m") -> str:
    name = evidence.event.file.scenario
    return f"peakday run {name} --rate {peak_per_s(evidence):.4g}/s --for {length}"


def _at_peak(evidence: Evidence) -> tuple[Rehearsed | None, str]:
    """The run at the highest rate where it reaches the p90 of the peak; else None, and why."""
    best, peak = evidence.best_run, peak_per_s(evidence)
    if best is None:
        return None, "no valid run of this scenario without a fault is here"
    if best.rate_per_s < peak * RATE_SPARE:
        return None, f"the highest rate of a run is {best.rate_per_s:.3g}/s, the p90 of the peak {peak:.3g}/s"
    return best, ""


def _slo(evidence: Evidence, slo: Slo) -> _Measured:
    run, why = _at_peak(evidence)
    if run is None:
        return _Measured(None, why, command=_run_command(evidence))
    line = slo_lines(run.run, [slo], run.length_s)[0]
    passed = {Verdict.PASS: True, Verdict.FAIL: False}.get(line.verdict)
    return _Measured(passed, line.why, run.run_id, _run_command(evidence), run.simulated)


def _load_peak(evidence: Evidence) -> _Measured:
    run, why = _at_peak(evidence)
    if run is None:
        return _Measured(None, why, command=_run_command(evidence))
    words = f"{run.rate_per_s:.3g} interactions/s, the p90 of the peak is {peak_per_s(evidence):.3g}/s"
    return _Measured(True, words, run.run_id, _run_command(evidence), run.simulated)


def _load_soak(evidence: Evidence) -> _Measured:
    wanted_s = evidence.checklist.limits.soak_s_min
    peak, command = peak_per_s(evidence), _run_command(evidence, f"{wanted_s:.0f}s")
    held = [run for run in evidence.runs if run.rate_per_s >= peak * RATE_SPARE]
    if not held:
        return _Measured(None, "no run reached the p90 of the peak", command=command)
    longest = max(held, key=lambda run: run.length_s)
    words = f"held for {show(longest.length_s, 's')} of {show(wanted_s, 's')}"
    passed = True if longest.length_s >= wanted_s else None
    return _Measured(passed, words, longest.run_id, command, longest.simulated)


def _faults_recover(evidence: Evidence) -> _Measured:
    rows, limit_s = failure_matrix(evidence), evidence.checklist.limits.recovery_s_max
    missing = [row.kind for row in rows if not row.tried]
    open_rows = [row for row in rows if row.tried and row.recovery_s is None]
    slow = [row for row in rows if row.recovery_s is not None and row.recovery_s > limit_s]
    ids = ", ".join(dict.fromkeys(row.run_id for row in rows if row.tried))
    simulated = any(row.simulated for row in rows)
    if slow:
        words = "; ".join(f"{_named(row)}: still failing {row.recovery_s:.0f} s after its end" for row in slow)
        return _Measured(False, words, ids, simulated=simulated)
    if missing:
        command = command_for(missing[0], evidence.event)
        return _Measured(None, f"not tried: {', '.join(missing)}", ids, command, simulated)
    if open_rows:
        command = command_for(open_rows[0].kind, evidence.event)
        words = f"too few turns after {', '.join(map(_named, open_rows))}"
        return _Measured(None, words, ids, command, simulated)
    return _Measured(True, f"{len(rows)} tried, each recovered within {limit_s:.0f} s", ids, simulated=simulated)


def _named(row: FaultTried) -> str:
    return f"{row.kind} ({row.where})" if row.where else row.kind


# --- plan --------------------------------------------------------------------------------------------------------


def _plan_command(evidence: Evidence) -> str:
    return f"peakday plan {evidence.event.file.scenario}"


def _no_plan(evidence: Evidence) -> _Measured:
    return _Measured(None, "no plan of this scenario is here", command=_plan_command(evidence))


def _plan_current(evidence: Evidence) -> _Measured:
    plan = evidence.plan
    if plan is None:
        return _no_plan(evidence)
    if plan.scenario.hash != evidence.event.scenario_hash:
        words = "the scenario has changed since the plan was made"
        return _Measured(False, words, plan.plan_id, _plan_command(evidence))
    return _Measured(True, f"made {plan.created_utc[:10]} of this very scenario", plan.plan_id, _plan_command(evidence))


def _order_buyable(evidence: Evidence) -> _Measured:
    plan = evidence.plan
    if plan is None:
        return _no_plan(evidence)
    verdict = order_verdict(replace(plan, inputs=()))  # whether it is simulated is said once, of the evidence
    command = f"{_plan_command(evidence)} --for-order"
    return _Measured(verdict.buyable, verdict.sentence, plan.plan_id, command, plan.simulated)


def _silicon_measured(evidence: Evidence) -> _Measured:
    plan = evidence.plan
    if plan is None:
        return _no_plan(evidence)
    rests = {
        f"{supply.model} in {supply.region}": supply.chosen.rate_per_replica_per_s.provenance
        for supply in plan.supplies
        if supply.chosen is not None
    }
    command = "peakday bench run --method endpoint --url URL, peakday calibrate, and the plan again"
    if not rests:
        return _Measured(True, "the plan buys no self-hosted fleet", plan.plan_id, command)
    weak = [f"{pool}: {provenance}" for pool, provenance in rests.items() if provenance != "measured"]
    if weak:
        return _Measured(None, "; ".join(weak), plan.plan_id, command)
    return _Measured(True, f"{len(rests)} fleets on measured step times", plan.plan_id, command)


def _budget_holds(evidence: Evidence) -> _Measured:
    plan, budget = evidence.plan, evidence.event.file.budget_usd
    if plan is None:
        return _no_plan(evidence)
    upper = plan.service.budget_usd if plan.service is not None else plan.event_cost_usd.high
    words = f"{show(upper, 'usd')} carries the service level"
    if budget is None:
        return _Measured(
            None, f"{words}; no budget: budget_usd in the event file", plan.plan_id, _plan_command(evidence)
        )
    words = f"{words}, the budget is {show(budget, 'usd')}"
    return _Measured(upper <= budget, words, plan.plan_id, _plan_command(evidence), plan.event_cost_usd.simulated)


def _cache_as_planned(evidence: Evidence) -> _Measured:
    plan, (run, why) = evidence.plan, _at_peak(evidence)
    if plan is None:
        return _no_plan(evidence)
    if run is None:
        return _Measured(None, why, plan.plan_id, _run_command(evidence))
    hits = run.run.info.totals.cache_hit_token_ratio if run.run.info.totals is not None else None
    planned = [rate.ratio for rate in plan.hit_rates if rate.level == "all"]
    if hits is None or hits.all is None or not planned:
        return _Measured(None, "the run or the plan holds no hit rate", run.run_id, _run_command(evidence))
    low = min(ratio.low for ratio in planned)
    words = (
        f"{show(hits.all, 'ratio')} of input tokens read, the lowest that a model's plan allows is {show(low, 'ratio')}"
    )
    return _Measured(hits.all >= low, words, f"{run.run_id}, {plan.plan_id}", _run_command(evidence), run.simulated)


# --- account, build, people --------------------------------------------------------------------------------------

PULL = "peakday aws pull --region REGION --live"


def _quotas_granted(evidence: Evidence) -> _Measured:
    plan = evidence.plan
    if plan is None:
        return _no_plan(evidence)
    rows = requests(evidence)
    short = [row.words for row in rows if row.granted is not None and row.granted < row.needed]
    unknown = [row for row in rows if row.granted is None]
    if short:
        return _Measured(False, "; ".join(short), plan.plan_id, PULL)
    if unknown:
        words = "; ".join(f"{row.model} {row.kind} in {row.region}" for row in unknown)
        return _Measured(None, f"no grant of the account is known: {words}", plan.plan_id, PULL)
    return _Measured(True, f"{len(rows)} quotas cover the service level", plan.plan_id, PULL)


def _quotas_fresh(evidence: Evidence) -> _Measured:
    if evidence.quotas is None:
        return _Measured(None, "no pull of the account is here", command=PULL)
    path, day = evidence.quotas
    age, most = (evidence.now.date() - day).days, evidence.checklist.limits.pull_age_days_max
    return _Measured(True if age <= most else None, f"pulled {day}, {age} days ago", str(path), PULL)


def _quality_scored(evidence: Evidence) -> _Measured:
    floor = evidence.event.scenario.assistant.policy.quality_floor
    scored = next((run for run in evidence.runs if run.run.info.judged is not None), None)
    command = f"peakday run {evidence.event.file.scenario} --keep-text, then peakday assistant quality latest"
    if scored is None or scored.run.info.judged is None or scored.run.info.judged.acceptable_ratio is None:
        return _Measured(None, "no run's answers were scored", command=command)
    share, judged = scored.run.info.judged.acceptable_ratio, scored.run.info.judged
    if share.value is None or share.lo is None or share.hi is None:
        return _Measured(None, "no answer was scored", scored.run_id, command)
    words = f"{show(share.value, 'ratio')} acceptable ({show(share.lo, 'ratio')} to {show(share.hi, 'ratio')})"
    passed = True if share.lo >= floor else False if share.hi < floor else None
    return _Measured(passed, f"{words}, the floor is {show(floor, 'ratio')}", scored.run_id, command, judged.simulated)


def _build_frozen(evidence: Evidence) -> _Measured:
    name = evidence.event.scenario.name
    command = f"peakday check {evidence.event.file.scenario} --only exact"
    if not evidence.baseline:
        return _Measured(None, f"no baseline of {name} is here", command=command)
    return _Measured(
        True, "exact figures of the build are kept", f"baselines/{name}/exact.json of {evidence.baseline}", command
    )


def _ramp_scheduled(evidence: Evidence) -> _Measured:
    plan = evidence.plan
    if plan is None:
        return _no_plan(evidence)
    rows = ramps(evidence)
    command = f"peakday ramp {evidence.event.file.scenario} --live"
    unknown = [row.model for row in rows if row.hold_count is None]
    if unknown:
        names = ", ".join(dict.fromkeys(unknown))
        words = f"ordinary traffic is not written down: ramp_from_per_min in the event file, for {names}"
        return _Measured(None, words, plan.plan_id, command)
    longest_h = max((row.hours or 0.0 for row in rows), default=0.0)
    if evidence.event.file.starts is None:
        words = f"it takes {longest_h:.2g} h; when the event starts is not written down"
        return _Measured(None, words, plan.plan_id, command)
    left_h = (evidence.event.file.starts - evidence.now).total_seconds() / 3600
    words = f"the longest takes {longest_h:.2g} h, {left_h:,.0f} h are left"
    return _Measured(longest_h <= left_h, words, plan.plan_id, command)


MEASURES: dict[str, Callable[[Evidence], _Measured]] = {
    "load_peak": _load_peak,
    "load_soak": _load_soak,
    "faults_recover": _faults_recover,
    "plan_current": _plan_current,
    "order_buyable": _order_buyable,
    "silicon_measured": _silicon_measured,
    "budget_holds": _budget_holds,
    "cache_as_planned": _cache_as_planned,
    "quotas_granted": _quotas_granted,
    "quotas_fresh": _quotas_fresh,
    "quality_scored": _quality_scored,
    "build_frozen": _build_frozen,
    "ramp_scheduled": _ramp_scheduled,
}


def unanswered(evidence: Evidence) -> Iterator[str]:
    """Keys under `checks` that no criterion has: a typing error there would lose an answer."""
    known = {criterion.id for criterion in evidence.checklist.criteria}
    yield from (name for name in evidence.event.file.checks if name not in known)
