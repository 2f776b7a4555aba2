"""The floor of a check: exact figures of scripted turns, against a saved baseline or the other build's own drive."""

from __future__ import annotations

from functools import partial
from typing import Any

from peakday.check import baseline as baselines
from peakday.check.driving import Measured, Scripted, scripted, stamp
from peakday.check.exact import GATE as EXACT
from peakday.check.exact import Figures, changed_moments, compare
from peakday.check.fingerprint import differences, here
from peakday.check.session import Check
from peakday.check.sides import Side
from peakday.check.verdicts import Line, Verdict


def check_exact(check: Check, other: Side | list[Measured] | None) -> None:
    """The floor, against the committed baseline, else against the other build's own drive."""
    if check.candidate.folder is None or check.candidate.sut is not None:
        check.notes.append("exact floor not run: only the local stack answers the same way twice")
        return
    drive = partial(scripted, check.candidate, check.resolved, plan=check.checks.plan, talk=check.talk)
    seen = drive()
    check.facts["exact"] = seen.figures
    if "model_connections" not in seen.figures:
        check.notes.append("connections to the models were not counted by these stand-ins: keep-alive is not judged")
    if check.asked.accept:
        version = _accept(check, seen)
        check.lines.append(Line(EXACT, "all figures", Verdict.PASS, f"accepted as baseline {version}; review its diff"))
        return
    try:
        before, rows, name = _exact_baseline(check, other)
    except baselines.BaselineError as error:
        check.lines.append(Line(EXACT, "baseline", Verdict.INCONCLUSIVE, str(error)))
        return
    lines = compare(before, seen.figures)
    if any(line.verdict != Verdict.PASS for line in lines):
        check.talk.say("exact floor: figures differ; driving the candidate once more to see whether they stand")
        lines = compare(before, seen.figures, repeated=drive().figures)
    check.lines += lines
    check.moments += changed_moments(rows, seen.rows)
    check.facts["exact_baseline"] = name


def _exact_baseline(check: Check, other: Side | list[Measured] | None) -> tuple[Figures, list[dict[str, Any]], str]:
    name = check.resolved.scenario.name
    if check.store.read(f"{name}/current.json") is None and isinstance(other, Side) and other.folder is not None:
        seen = scripted(other, check.resolved, plan=False, talk=check.talk)
        plan = {key: value for key, value in check.facts["exact"].items() if key.startswith("plan.")}
        if plan:
            check.notes.append("chips and cost of the plan are held by a saved baseline only; there is none yet")
        return {**seen.figures, **plan}, seen.rows, other.identity[:12]
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
    return known["exact"], known["moments"], known["version"]


def _accept(check: Check, seen: Scripted) -> str:
    """Save what was seen as the current baseline; the earlier runs of it are kept where the scenario is the same."""
    name = check.resolved.scenario.name
    try:
        known = baselines.current(check.store, name)
        kept = {key: known[key] for key in ("runs", "sketches") if known["workload"] == check.workload and key in known}
    except baselines.BaselineError:
        kept = {}
    version = baselines.save(check.store, name, document(check, seen) | kept, stamp())
    baselines.promote(check.store, name, version)
    return version


def document(check: Check, seen: Scripted) -> dict[str, Any]:
    """A baseline without runs: circumstances, exact figures and the turns they come from."""
    from peakday.host import commit, peakday_version

    return {
        "peakday_version": peakday_version(),
        "commit": commit(),
        "workload": check.workload,
        "host": here(),
        "exact": seen.figures,
        "moments": seen.rows,
        "runs": [],
        "sketches": {},
    }
