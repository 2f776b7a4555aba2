"""Snapshot checks: exact figures of scripted turns, against a saved baseline or the other build's own drive."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from host.environment import commit, peakday_version
from host.errors import Exit
from peakday.errors import CommandError
from peakday.gate import baseline as baselines
from peakday.gate.builds.builds import Build
from peakday.gate.builds.runs import Measured, Scripted, scripted, stamp
from peakday.gate.fingerprint import differences, here
from peakday.gate.snapshot.figures import GATE as EXACT
from peakday.gate.snapshot.figures import Figures, answered, changed_moments, compare, turns_line, unsteady
from peakday.gate.state import Check
from peakday.gate.verdicts import Line, Verdict

NO_TRAFFIC = "zero traffic: no scripted turn was answered, so nothing was shown"
NOT_COVERED = (
    "not run, so tokens, calls and tools of this system are not gated: snapshot checks drive the local stack alone; "
    "add --only slo --only regression to gate without them"
)


@dataclass(frozen=True)
class _Baseline:
    """What the candidate is held against. `again`: drives it a second time; None where it was saved."""

    name: str
    figures: Figures
    rows: list[dict[str, Any]]
    again: Callable[[], Scripted] | None = None


def check_exact(check: Check, other: Build | list[Measured] | None) -> None:
    """The snapshot, against the committed baseline, else against the other build's own drive."""
    if check.candidate.folder is None or check.candidate.sut is not None:
        check.lines.append(Line(EXACT, "snapshot", Verdict.INCONCLUSIVE, NOT_COVERED))
        return
    drive = _driven(check)
    check.facts["exact"] = drive.figures
    if "model_connections" not in drive.figures:
        check.notes.append("connections to the models were not counted by this emulator: keep-alive is not judged")
    if not answered(drive.rows):
        check.lines.append(Line(EXACT, "turns", Verdict.INCONCLUSIVE, NO_TRAFFIC))
    elif check.request.accept:
        check.lines += _accept(check, drive)
    else:
        _hold(check, drive, other)


def _driven(check: Check) -> Scripted:
    return scripted(check.candidate, check.resolved, plan=check.checks.plan, console=check.console)


def _hold(check: Check, drive: Scripted, other: Build | list[Measured] | None) -> None:
    """What was seen against the baseline; a difference is driven again, on each build that can be."""
    try:
        before = _exact_baseline(check, other)
    except baselines.BaselineError as error:
        check.lines += _without_baseline(check, drive, error)
        return
    check.facts["exact_baseline"] = before.name
    if not answered(before.rows):
        check.lines.append(Line(EXACT, "turns", Verdict.INCONCLUSIVE, f"of the baseline, {NO_TRAFFIC}"))
        return
    lines = compare(before.figures, drive.figures)
    moments = changed_moments(before.rows, drive.rows)
    differs = any(line.verdict != Verdict.PASS for line in lines)
    if differs or moments:
        check.console.say("snapshot checks: figures differ; driving once more to see whether they stand")
        again = _driven(check)
        old = before.again() if before.again is not None else Scripted(before.rows, before.figures)
        lines = compare(before.figures, drive.figures, repeated=again.figures, baseline_repeated=old.figures)
        line = turns_line(moments, changed_moments(old.rows, again.rows)) if not differs else None
        lines += [line] if line is not None else []
    check.lines += lines
    check.moments += moments


def _exact_baseline(check: Check, other: Build | list[Measured] | None) -> _Baseline:
    name = check.resolved.scenario.name
    if check.store.read(f"{name}/current.json") is None and isinstance(other, Build) and other.folder is not None:
        return _of_the_other(check, other)
    known = baselines.current(check.store, name)
    if known["workload"] != check.workload:
        raise baselines.BaselineError(
            f"baseline {known['version']} is of another scenario ({known['workload']}, here {check.workload}): what is "
            f"asked of the assistant has changed, so nothing can be compared; `peakday baseline save {name}`"
        )
    different = differences(known.get("host") or {}, here())
    if different:
        where = f"the baseline was saved on another machine ({'; '.join(different)})"
        check.notes.append(f"{where}; exact figures hold anyway")
    return _Baseline(known["version"], known["exact"], known["moments"])


def _of_the_other(check: Check, other: Build) -> _Baseline:
    """The other build's own drive. It makes no plan: the facts of a plan are the code's that runs here."""
    plan = {key: value for key, value in check.facts["exact"].items() if key.startswith("plan.")}
    if plan:
        check.notes.append("chips and cost of the plan are held by a saved baseline only; there is none yet")

    def drive() -> Scripted:
        drive = scripted(other, check.resolved, plan=False, console=check.console)
        return Scripted(drive.rows, {**drive.figures, **plan})

    first = drive()
    return _Baseline(other.identity[:12], first.figures, first.rows, drive)


def _without_baseline(check: Check, drive: Scripted, error: baselines.BaselineError) -> list[Line]:
    """A first check saves what later ones compare with, and so passes; in CI a baseline that is absent shows nothing.

    Every CI server sets $CI. There a baseline is committed: one that vanished must not pass by being made anew.
    """
    name = check.resolved.scenario.name
    if baselines.versions(check.store, name):
        fix = f"peakday baseline save {name} --runs 0 --promote"
        return [Line(EXACT, "baseline", Verdict.INCONCLUSIVE, str(error), fix=fix)]
    where = f"{check.checks.baselines}/{name}"
    if os.environ.get("CI"):
        why = f"no baseline of {name} in {where}/; a baseline that is absent in CI never passes by being made anew"
        fix = f"run `peakday check {name} --only exact` on your machine and commit {where}/"
        return [Line(EXACT, "baseline", Verdict.INCONCLUSIVE, why, fix=fix)]
    check.console.say("snapshot checks: no baseline yet; driving once more, to save what two drives agree on")
    figures = len(drive.figures)
    return _save(check, drive, f"the first check: {figures} figures saved as {where}/{{version}}.json; commit it")


def _accept(check: Check, drive: Scripted) -> list[Line]:
    """Save what two drives agree on as the current baseline; its runs are kept where the scenario is the same."""
    name = check.resolved.scenario.name
    kept: dict[str, Any] = {}
    try:
        known = baselines.current(check.store, name)
        kept = {key: known[key] for key in ("runs", "sketches") if known["workload"] == check.workload and key in known}
    except baselines.BaselineError:
        check.console.say(f"{name}: no earlier baseline whose runs could be kept")
    return _save(check, drive, "accepted as baseline {version}; review its diff", kept)


def _save(check: Check, drive: Scripted, words: str, kept: Mapping[str, Any] | None = None) -> list[Line]:
    """The drive as the current baseline, where a second one agrees with it; `words` say so, with its {version}."""
    different = unsteady(drive.figures, _driven(check).figures)
    if different:
        return different
    name = check.resolved.scenario.name
    version = baselines.save(check.store, name, document(check, drive) | dict(kept or {}), stamp())
    baselines.promote(check.store, name, version)
    check.facts["saved_baseline"] = version
    return [Line(EXACT, "all figures", Verdict.PASS, words.format(version=version))]


def steady_script(check: Check) -> Scripted:
    """What the script shows, driven twice.

    Raises:
        CommandError: nothing was answered, or the two drives disagree: neither is anything to compare with.
    """
    drive = _driven(check)
    if not answered(drive.rows):
        raise CommandError(f"nothing saved: {NO_TRAFFIC}", Exit.INCONCLUSIVE)
    different = unsteady(drive.figures, _driven(check).figures)
    if different:
        first = different[0]
        raise CommandError(f"nothing saved: {first.metric}: {first.why}", Exit.INCONCLUSIVE)
    return drive


def document(check: Check, drive: Scripted) -> dict[str, Any]:
    """A baseline without runs: environment, exact figures and the turns they come from."""
    return {
        "peakday_version": peakday_version(),
        "commit": commit(),
        "workload": check.workload,
        "host": here(),
        "exact": drive.figures,
        "moments": drive.rows,
        "runs": [],
        "sketches": {},
    }
