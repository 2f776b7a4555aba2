"""Snapshot checks: exact figures of scripted turns, against a saved baseline or the other build's own drive."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from facts.tokens import TOKEN_CLASSES
from host.environment import commit, peakday_version
from host.errors import Exit
from host.json_values import mapping
from peakday.errors import CommandError
from peakday.gate.baselines.baseline import BaselineError, Snapshot, current, exact_key, figures_of, is_kept, save
from peakday.gate.builds.builds import Build
from peakday.gate.builds.runs import Measured, Scripted, scripted, scripted_own, stamp
from peakday.gate.fingerprint import differences, here
from peakday.gate.snapshot.figures import ERROR, Figures, answered, changed_moments, compare, turns_line, unsteady
from peakday.gate.snapshot.figures import GATE as EXACT
from peakday.gate.snapshot.own import KINDS, TURNS_MAX, script_of
from peakday.gate.state import Check
from peakday.gate.verdicts import Line, Verdict

NO_TRAFFIC = "zero traffic: no scripted turn was answered, so nothing was shown ({ends})"
WITHOUT = "add --only slo --only regression to gate without them"
UNREAD = "not run: of a {kind} target no answer is read here, only of " + f"{', '.join(KINDS)}; {WITHOUT}"
ADD_SCRIPT = "add `questions: questions.txt` to checks.yaml, one question a line"
NO_SCRIPT = f"not run, because there is nothing to ask: {ADD_SCRIPT}; or {WITHOUT}"
UNTOLD = "not gated, because no answer tells its tokens: {fix}; or " + WITHOUT


@dataclass(frozen=True)
class _Baseline:
    """What the candidate is held against. `again`: drives it a second time; None where it was saved."""

    name: str
    figures: Figures
    rows: list[dict[str, object]]
    again: Callable[[], Scripted] | None = None


def check_exact(check: Check, other: Build | list[Measured] | None) -> None:
    """The snapshot, against the committed baseline, else against the other build's own drive."""
    if check.candidate.is_own and check.candidate.kind not in KINDS:
        why = UNREAD.format(kind=check.candidate.kind)
        check.lines.append(Line(EXACT, "snapshot", Verdict.INCONCLUSIVE, why))
        return
    if check.candidate.is_own and not check.script:
        check.lines.append(Line(EXACT, "snapshot", Verdict.INCONCLUSIVE, NO_SCRIPT, fix=ADD_SCRIPT))
        return
    drive = _driven(check)
    check.facts["exact"] = drive.figures
    if not answered(drive.rows):
        check.lines.append(Line(EXACT, "turns", Verdict.INCONCLUSIVE, _no_traffic(drive.rows)))
        return
    _note_coverage(check, drive)
    if check.request.accept:
        check.lines += _accept(check, drive)
    else:
        _hold(check, drive, other)


def _no_traffic(rows: Sequence[Mapping[str, object]]) -> str:
    """That nothing was answered, with how the turns ended."""
    ends = Counter(str(row["end"]).removeprefix(ERROR) for row in rows)
    return NO_TRAFFIC.format(ends=", ".join(f"{end} x {count}" for end, count in ends.most_common(3)) or "no turn")


def _note_coverage(check: Check, drive: Scripted) -> None:
    """What the snapshot says nothing about: a figure that was never told cannot get worse."""
    if not check.candidate.is_own:
        if "model_connections" not in drive.figures:
            check.notes.append("connections to the models were not counted by this emulator: keep-alive is not gated")
        return
    absent = dict(drive.not_covered)
    if failed := [row for row in drive.rows if str(row["end"]).startswith(ERROR)]:
        turns = f"{len(failed)} of {len(drive.rows)} turns, which got no answer"
        absent[turns] = f"the first is {failed[0]['turn']}: {str(failed[0]['end']).removeprefix(ERROR)}"
    check.facts["not_covered"] = absent
    if len(script_of(check.script)) < sum(len(entry.texts) for entry in check.script):
        check.notes.append(f"only the first {TURNS_MAX} turns of {check.checks.questions} are asked")
    for what, remedy in absent.items():
        check.notes.append(f"not covered: {what}; {remedy}")


def _driven(check: Check) -> Scripted:
    return _drive(check, check.candidate, plan=check.checks.plan)


def _drive(check: Check, build: Build, *, plan: bool) -> Scripted:
    if build.is_own:
        return scripted_own(build, script_of(check.script), console=check.console)
    return scripted(build, check.resolved, plan=plan, console=check.console)


def _hold(check: Check, drive: Scripted, other: Build | list[Measured] | None) -> None:
    """What was seen against the baseline; a difference is driven again, on each build that can be."""
    try:
        before = _exact_baseline(check, other)
    except BaselineError as error:
        check.lines += _without_baseline(check, drive, error)
        return
    check.facts["exact_baseline"] = before.name
    if not answered(before.rows):
        why = f"of the baseline, {_no_traffic(before.rows)}"
        check.lines.append(Line(EXACT, "turns", Verdict.INCONCLUSIVE, why))
        return
    margins = check.checks.snapshot.margins
    lines = compare(before.figures, drive.figures, margins=margins)
    moments = changed_moments(before.rows, drive.rows, margins)
    differs = any(line.verdict != Verdict.PASS for line in lines)
    if differs or moments:
        check.console.say("snapshot checks: figures differ; driving once more to see whether they stand")
        again = _driven(check)
        old = before.again() if before.again is not None else Scripted(before.rows, before.figures)
        lines = compare(
            before.figures, drive.figures, repeated=again.figures, baseline_repeated=old.figures, margins=margins
        )
        line = turns_line(moments, changed_moments(old.rows, again.rows, margins)) if not differs else None
        lines += [line] if line is not None else []
    check.lines += [*lines, *_untold(drive, before.figures)]
    check.moments += moments


def _untold(drive: Scripted, before: Figures) -> list[Line]:
    """A line where neither build tells how many tokens it uses: a longer prompt would then pass unseen."""
    if drive.figures.keys() & {*TOKEN_CLASSES} or before.keys() & {*TOKEN_CLASSES}:
        return []
    fix = f"add {drive.not_covered.get('input tokens', 'usage to its answers')}"
    return [Line(EXACT, "tokens", Verdict.INCONCLUSIVE, UNTOLD.format(fix=fix), fix=fix)]


def _exact_baseline(check: Check, other: Build | list[Measured] | None) -> _Baseline:
    name = check.resolved.scenario.name
    if not is_kept(check.store, name) and isinstance(other, Build) and (other.folder is not None or check.script):
        return _of_the_other(check, other)
    known = current(check.store, name)
    if known.workload != check.workload:
        raise BaselineError(
            f"the baseline of {known.name} is of another script or scenario ({known.workload}, here {check.workload}), "
            f"so nothing can be compared; `peakday check {name} --only exact --accept` replaces it"
        )
    different = differences(mapping(known.saved.get("host")), here())
    if different:
        where = f"the baseline was saved on another machine ({'; '.join(different)})"
        check.notes.append(f"{where}; exact figures hold anyway")
    return _Baseline(known.name, dict(known.figures), [dict(turn) for turn in known.turns])


def _of_the_other(check: Check, other: Build) -> _Baseline:
    """The other build's own drive. It makes no plan: the facts of a plan are the code's that runs here."""
    plan = {key: value for key, value in figures_of(check.facts["exact"]).items() if key.startswith("plan.")}
    if plan:
        check.notes.append("chips and cost of the plan are held by a saved baseline only; there is none yet")

    def drive() -> Scripted:
        drive = _drive(check, other, plan=False)
        return Scripted(drive.rows, {**drive.figures, **plan})

    first = drive()
    return _Baseline(other.identity[:12], first.figures, first.rows, drive)


def _without_baseline(check: Check, drive: Scripted, error: BaselineError) -> list[Line]:
    """A first check saves what later ones compare with, and so passes; in CI a baseline that is absent shows nothing.

    Every CI server sets $CI. There a baseline is committed: one that vanished must not pass by being made anew.
    """
    name = check.resolved.scenario.name
    if is_kept(check.store, name):
        fix = f"peakday check {name} --only exact --accept"
        return [Line(EXACT, "baseline", Verdict.INCONCLUSIVE, str(error), fix=fix)]
    where = f"{check.checks.baselines}/{name}"
    if os.environ.get("CI"):
        why = f"no baseline of {name} in {where}/; a baseline that is absent in CI never passes by being made anew"
        fix = f"run `peakday check {name} --only exact` on your machine and commit {where}/"
        return [Line(EXACT, "baseline", Verdict.INCONCLUSIVE, why, fix=fix)]
    check.console.say("snapshot checks: no baseline yet; driving once more, to save what two drives agree on")
    figures = len(drive.figures)
    return _save(check, drive, f"the first check: {figures} figures saved as {{where}}; commit it")


def _accept(check: Check, drive: Scripted) -> list[Line]:
    """Save what two drives agree on as the baseline, in place of the one before."""
    return _save(check, drive, "accepted as the baseline; review and commit {where}")


def _save(check: Check, drive: Scripted, words: str) -> list[Line]:
    """The drive as the baseline, where a second one agrees with it; `words` say so, with {where} it lies."""
    different = unsteady(drive.figures, _driven(check).figures, check.checks.snapshot.margins)
    if different:
        return different
    name = check.resolved.scenario.name
    save(check.store, name, snapshot_of(check, drive))
    where = f"{check.checks.baselines}/{exact_key(name)}"
    check.facts["saved_baseline"] = where
    return [Line(EXACT, "all figures", Verdict.PASS, words.format(where=where)), *_untold(drive, drive.figures)]


def steady_script(check: Check) -> Scripted:
    """What the script shows, driven twice.

    Raises:
        CommandError: there is no script, nothing was answered, or the two drives disagree: nothing to compare with.
    """
    if check.candidate.is_own and not check.script:
        raise CommandError(f"nothing saved: the snapshot was {NO_SCRIPT}", Exit.INCONCLUSIVE)
    drive = _driven(check)
    if not answered(drive.rows):
        raise CommandError(f"nothing saved: {_no_traffic(drive.rows)}", Exit.INCONCLUSIVE)
    different = unsteady(drive.figures, _driven(check).figures, check.checks.snapshot.margins)
    if different:
        first = different[0]
        raise CommandError(f"nothing saved: {first.metric}: {first.why}", Exit.INCONCLUSIVE)
    return drive


def snapshot_of(check: Check, drive: Scripted) -> Snapshot:
    """A drive as it is saved."""
    saved = {"utc": stamp(), "commit": commit(), "host": here(), "peakday_version": peakday_version()}
    return Snapshot(check.workload, drive.figures, tuple(drive.rows), saved)
