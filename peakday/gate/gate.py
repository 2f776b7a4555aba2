"""`peakday check`: runs the gates that were asked for, cheapest first, and gathers their lines."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from host.environment import peakday_version
from host.json_values import number
from loadgen.record import Run, load_run
from peakday.errors import CommandError
from peakday.gate.baselines import baseline as baselines
from peakday.gate.builds.builds import BASELINE, Build, run_build, worktree
from peakday.gate.builds.journal import InvalidRuns, Journal
from peakday.gate.builds.runs import BLOCK_METRICS, Measured, load_alone, load_once, stamp
from peakday.gate.fingerprint import asked_otherwise, differences, here, host_fingerprint
from peakday.gate.records import measured
from peakday.gate.regression.noise import Session
from peakday.gate.regression.pairs import history, judge_pairs, judge_records, pooled_tails
from peakday.gate.settings import Runs
from peakday.gate.slo import ALPHA, judge
from peakday.gate.snapshot.comparison import check_exact, snapshot_of, steady_script
from peakday.gate.snapshot.figures import compare
from peakday.gate.state import Check, address
from peakday.gate.verdicts import Line, Outcome, Verdict
from peakday.records.folders import find_record
from slo.bounds import turns_to_show
from slo.slo import Slo, parse_slo, slos_of

SLO_ALONE_S = 48.0
"""Load of the runs together that judge the SLOs where no regression gate makes any: some 320 turns of `smoke`."""
SLO_TURNS_SPARE = 1.1
SLO_RUNS_MORE = 2.0
"""Where checks.yaml names no `slo_runs`: turns over the fewest that show an SLO met, and runs at most."""


def run_check(check: Check) -> Outcome:
    """Run every gate that was asked for; an invalid run ends them with its own line.

    Raises:
        KeyboardInterrupt: interrupted; what was measured is kept, and the same command goes on with it.
    """
    candidate, checks = check.candidate, check.checks
    if candidate.sut is not None and candidate.sut.build and candidate.folder is not None:
        check.console.say("building the candidate")
        run_build(candidate.sut.build, candidate.folder, candidate.sut.build_within_s)
    with _baseline_build(check) as named:
        other = _asked_alike(check, named)
        if "exact" in check.request.only:
            check_exact(check, other)
        key = {
            "scenario": check.workload, "sets": check.request.sets, "candidate": candidate.identity,
            "baseline": other.identity if isinstance(other, Build) else check.request.against,
            "peakday": peakday_version(),
            "checks": checks.model_dump(mode="json", exclude={"slo", "baselines", "plan"}),
        }  # fmt: skip
        journal = Journal.opened(key)
        try:
            candidates = check_regression(check, other, journal) if "regression" in check.request.only else []
            if "slo" in check.request.only:
                candidates = check_slo(check, candidates, journal)
        except InvalidRuns as invalid:
            check.lines.append(Line("runs", "verdict", Verdict.INVALID, f"{invalid}; they decide nothing"))
            return check.outcome()
        except KeyboardInterrupt:
            check.console.say("interrupted; the same command goes on with the runs made so far, halves of pairs anew")
            raise
        check_history(check, candidates)
        journal.finished()
    return check.outcome()


@contextlib.contextmanager
def _baseline_build(check: Check) -> Iterator[Build | list[Measured] | None]:
    """What --against names: an address, stored runs, or a commit in a worktree of its own; None without it."""
    against = check.request.against
    if against is None:
        yield None
    elif "://" in against:
        yield address(against, "baseline", check.request.model, check.checks.questions, "--against")
    elif (stored := _stored_runs(against)) is not None:
        yield stored
    else:
        with worktree(against, check.checks.sut) as (folder, commit):
            check.console.say(f"baseline: {against} is {commit[:12]}, in a worktree of its own")
            candidate = check.candidate
            yield Build(
                BASELINE, commit, folder=folder, scenario=check.request.scenario, sets=check.request.sets,
                sut=candidate.sut or check.checks.sut, seed=check.request.seed, model=check.request.model,
                questions=candidate.questions,
            )  # fmt: skip


def _asked_alike(check: Check, other: Build | list[Measured] | None) -> Build | list[Measured] | None:
    """The baseline, or None and a line where its own stack is set up for another scenario than the load is of."""
    if not isinstance(other, Build) or other.folder is None or other.sut is not None:
        return other
    shown = other.scenario_there()
    if isinstance(shown, str):
        why = f"the baseline does not have this scenario: {shown}"
    elif keys := asked_otherwise(check.resolved.scenario, shown):
        why = f"the baseline's scenario asks for something else ({', '.join(keys)}): a difference would be of that"
    else:
        return other
    check.lines.append(Line("scenario", "workload", Verdict.INCONCLUSIVE, why))
    return None


def _stored_runs(text: str) -> list[Measured] | None:
    """Run records by path, ID or `latest`, several with commas; None when the text names none.

    Raises:
        CommandError: one of them is INVALID, so no evidence.
    """
    try:
        paths = [find_record("runs", name.strip()) for name in text.split(",")]
    except CommandError:
        return None
    return [measured(path) for path in paths]


def check_regression(check: Check, other: Build | list[Measured] | None, journal: Journal) -> list[Measured]:
    """Pairs in ABBA order until the gate is settled; the candidate's runs."""
    if other is None:
        return []
    gate, runs = check.checks.regression, check.checks.runs
    if isinstance(other, list):
        count = max(2, runs.slo_runs)
        new = [_measure(check, check.candidate, runs, i, f"stored-{i}", journal) for i in range(count)]
        check.lines += judge_records(other, new, gate)
        return new
    pairs: list[tuple[Measured, Measured]] = []
    lines: list[Line] = []
    for look, wanted in enumerate(gate.looks):
        check.console.say(f"regression: pairs {len(pairs) + 1} to {wanted}, {runs.for_s:g} s of load a run")
        while len(pairs) < wanted:
            pairs.append(_pair(check, other, runs, len(pairs), journal))
        lines, settled = judge_pairs(pairs, gate, look)
        if settled:
            break
    check.lines += lines
    check.facts |= {"pairs": len(pairs), "runs_repeated": journal.again, "n_tail": pooled_tails(pairs)}
    _note_environments(check, pairs)
    return [pair[1] for pair in pairs]


def _pair(check: Check, other: Build, runs: Runs, number: int, journal: Journal) -> tuple[Measured, Measured]:
    """Both builds next to each other; every second pair the other way round."""
    measure = {
        "A": lambda: _measure(check, other, runs, number, f"A-{number:02}", journal),
        "B": lambda: _measure(check, check.candidate, runs, number, f"B-{number:02}", journal),
    }
    pair = {build: measure[build]() for build in ("AB" if number % 2 == 0 else "BA")}
    return pair["A"], pair["B"]


def _measure(check: Check, build: Build, runs: Runs, number: int, name: str, journal: Journal) -> Measured:
    def once(out: Path) -> Measured:
        return load_once(build, check.resolved, runs, number=number, out=out, console=check.console)

    return journal.run(name, once, runs.invalid_max, check.console)


def _note_environments(check: Check, pairs: Sequence[tuple[Measured, Measured]]) -> None:
    hosts = [host_fingerprint(one.host) for pair in pairs for one in pair]
    different = {text for one in hosts[1:] for text in differences(hosts[0], one)}
    if different:
        check.notes.append(f"the machine changed while it was measured: {'; '.join(sorted(different))}")


def check_slo(check: Check, candidates: list[Measured], journal: Journal) -> list[Measured]:
    """Every SLO of checks.yaml, else of the scenario, over the candidate's runs; `slo_runs` where none are."""
    slos = [parse_slo(text) for text in check.checks.slo] or slos_of(check.resolved.scenario.slo.model_dump())
    if not slos:
        check.notes.append("no SLO in checks.yaml or the scenario: the SLO gate has nothing to decide")
        return candidates
    runs = check.checks.runs
    if candidates:
        candidates = candidates + _runs_more(check, slos, candidates, journal)
    else:
        runs = _alone(check)
        candidates = _runs_alone(check, runs, slos, journal)
    records: list[Run] = [load_run(one.path) for one in candidates]
    check.lines += [judge(slo, records, runs.for_s) for slo in slos]
    return candidates


def _runs_alone(check: Check, runs: Runs, slos: Sequence[Slo], journal: Journal) -> list[Measured]:
    """Runs of their own. How many is settled by the turns of the first, never by its misses."""
    check.console.say(f"slo: {runs.slo_runs} runs or more of {runs.for_s:g} s at {runs.rate_per_s:g}/s")
    made = [_measure(check, check.candidate, runs, 0, "slo-0", journal)]
    count = max(runs.slo_runs, _runs_to_show(check, slos, made, runs.slo_runs))
    return made + [_measure(check, check.candidate, runs, i, f"slo-{i}", journal) for i in range(1, count)]


def _runs_more(check: Check, slos: Sequence[Slo], made: Sequence[Measured], journal: Journal) -> list[Measured]:
    """Runs beside those of the pairs, where these have too few turns to show an SLO met; at most as many again."""
    runs, pairs = check.checks.runs, len(made)
    numbers = range(pairs, _runs_to_show(check, slos, made, pairs))
    if numbers:
        check.console.say(f"slo: {len(numbers)} more runs of {runs.for_s:g} s, since the pairs have too few turns")
    return [_measure(check, check.candidate, runs, number, f"more-{number}", journal) for number in numbers]


def _runs_to_show(check: Check, slos: Sequence[Slo], made: Sequence[Measured], count: int) -> int:
    """How many runs like these show the strictest SLO met where no turn misses; `count` where checks.yaml says it."""
    if "slo_runs" in check.checks.runs.model_fields_set:
        return count
    shares = [slo.allowed_ratio for slo in slos if slo.allowed_ratio]
    needed = SLO_TURNS_SPARE * max((turns_to_show(share, ALPHA) for share in shares), default=0)
    turns = max(sum(one.turns for one in made) / len(made), 1)
    return min(math.ceil(needed / turns), math.ceil(SLO_RUNS_MORE * count))


def _alone(check: Check) -> Runs:
    runs = check.checks.runs
    rate = runs.rate_per_s or check.resolved.scenario.demand.interactions.peak_per_s.mid
    return runs.model_copy(update={"rate_per_s": rate, "for_s": max(runs.for_s, SLO_ALONE_S / runs.slo_runs)})


def check_history(check: Check, candidates: Sequence[Measured]) -> None:
    """Warn where today lies far from eight or more earlier runs of the same machine under the same load."""
    if not candidates:
        return
    host, load = here(), load_alone(candidates[0].workload)
    try:
        known = baselines.history(check.store, check.resolved.scenario.name)
    except baselines.BaselineError as error:
        check.notes.append(f"history is not compared: {error}")
        return
    alike = {"workload": check.workload, "host": host, "load": load}
    earlier = [run for run in known if all(run.get(name) == value for name, value in alike.items())]
    gated = check.checks.regression.metrics
    values = {metric: [number(run[metric]) for run in earlier if run.get(metric) is not None] for metric in gated}
    now = {metric: _mean([one.values.get(metric) for one in candidates]) for metric in values}
    check.lines += history(values, now)


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


@dataclass(frozen=True)
class Saved:
    """What `peakday baseline save` did. `kept_other`: figures of the baseline that stays and differs."""

    snapshot: baselines.Snapshot
    runs: int
    history_runs: int
    kept_other: tuple[str, ...] = ()


def save_baseline(check: Check, runs: int, promote: bool) -> Saved:
    """Drive the script and so many load runs; keep the figures where there are none yet, and the runs as history."""
    drive = steady_script(check)
    journal = Journal.opened({"baseline": check.workload, "candidate": check.candidate.identity, "runs": runs})
    try:
        made = [_measure(check, check.candidate, check.checks.runs, i, f"S-{i}", journal) for i in range(runs)]
    except InvalidRuns as invalid:
        check.console.say(f"{invalid}: saved without runs; the snapshot checks need none")
        made = []
    name, snapshot = check.resolved.scenario.name, snapshot_of(check, drive)
    other = () if promote else _differing(check, name, snapshot)
    if not other:
        baselines.save(check.store, name, snapshot)
    alike = {"utc": stamp(), "workload": check.workload, "host": here()}
    rows = [
        {**alike, "load": load_alone(one.workload), **{metric: one.values[metric] for metric in BLOCK_METRICS}}
        for one in made
    ]
    kept = baselines.add_runs(check.store, name, rows) if rows else 0
    journal.finished()
    return Saved(snapshot, len(rows), kept, other)


def _differing(check: Check, name: str, snapshot: baselines.Snapshot) -> tuple[str, ...]:
    """Figures of a saved baseline that are not these; none where nothing readable is saved."""
    try:
        known = baselines.current(check.store, name)
    except baselines.BaselineError:
        return ()
    if known.workload != snapshot.workload:
        return ("what is asked",)
    lines = compare(dict(known.figures), dict(snapshot.figures), margins=check.checks.snapshot.margins)
    return tuple(line.metric for line in lines if line.verdict != Verdict.PASS)


def _target(build: Build) -> str:
    """What kind of system is driven, whatever its build."""
    own = build.sut.start if build.sut is not None else "the local stack"
    return " ".join(build.targets) or own


def noise_session(check: Check, runs: int, clock: Callable[[], float]) -> Session:
    """Runs of the candidate against itself, one after another.

    INVALID runs count here, because they judge nobody: a busy machine is noisy, and that is what is asked.
    """
    journal = Journal.opened({"noise": check.workload, "candidate": check.candidate.identity, "runs": runs})
    began_s, invalid, load = clock(), 0, check.checks.runs
    made = []
    for place in range(runs):
        out = journal.path / "runs" / f"N-{place:02}-{int(began_s)}"
        one = load_once(check.candidate, check.resolved, load, number=0, out=out, console=check.console)
        invalid += not one.valid
        made.append(one)
    took_s = (clock() - began_s) / runs
    return {
        "utc": stamp(), "host": host_fingerprint(made[0].host), "target": _target(check.candidate),
        "scenario": check.workload, "rate_per_s": load.rate_per_s, "for_s": load.for_s, "processes": load.processes,
        "run_s": took_s, "invalid": invalid, "runs": [one.values for one in made],
    }  # fmt: skip
