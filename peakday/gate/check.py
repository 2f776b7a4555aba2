"""From what was typed to a result: what `peakday check` and `peakday baseline` call."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from host.errors import Exit, PeakdayError
from peakday.consent import Consent
from peakday.console import Console
from peakday.errors import CommandError, explain
from peakday.gate.baselines import baseline as baselines
from peakday.gate.baselines.store import Store, open_store
from peakday.gate.builds.runs import BLOCK_METRICS
from peakday.gate.gate import noise_session, run_check, save_baseline
from peakday.gate.kept import keep
from peakday.gate.outputs import as_data, as_text
from peakday.gate.page import write_outputs
from peakday.gate.records import check_records, is_record
from peakday.gate.regression.noise import FILE as NOISE_FILE
from peakday.gate.regression.noise import HOPELESS, POWER, Noise, add_session, like_the_last, scatters, seen
from peakday.gate.settings import Checks, Regression, load_checks
from peakday.gate.state import Check, CheckRequest, prepare
from peakday.gate.verdicts import Line, Outcome, Verdict
from peakday.quantities import duration_s, rate_per_s

GATES = ("exact", "slo", "regression")
CPU_METRIC = "cpu_loops_per_turn"


@dataclass(frozen=True)
class CheckOptions:
    """The command line, as typed."""

    scenario: str
    sets: tuple[str, ...] = ()
    against: str | None = None
    target: str | None = None
    model: str | None = None
    only: tuple[str, ...] = ()
    pairs: int | None = None
    rate: str | None = None
    for_: str | None = None
    accept: bool = False
    margin: float = 0.05
    checks: Path | None = None
    seed: int | None = None
    consent: Consent = field(default_factory=Consent)


def check_scenario(
    options: CheckOptions,
    console: Console,
    *,
    junit: Path | None,
    markdown: Path | None,
    html: Path | None,
    clock: Callable[[], float],
    annotations: Path | None = None,
) -> tuple[Exit, str, dict[str, object]]:
    """Run the gates, write the files asked for and the record; the exit code, the text and the same as data.

    Raises:
        PeakdayError, OSError: a mistake of the user's; the files asked for say so too.
    """
    began_s = clock()
    outcome, mistake = _checked(options, console)
    write_outputs(outcome, clock() - began_s, junit=junit, markdown=markdown, html=html, annotations=annotations)
    if mistake is not None:
        raise mistake
    keep(outcome, datetime.now(UTC), console)
    return outcome.exit_code, as_text(outcome), as_data(outcome)


def _checked(options: CheckOptions, console: Console) -> tuple[Outcome, Exception | None]:
    """The outcome, and the error that ends the command where a mistake did; each has a line for CI servers to read."""
    check = None
    try:
        if options.against is not None and is_record(options.scenario):
            return check_records(options.scenario, options.against, options.margin), None
        check = prepare(request_of(options), settings(options), console)
        return run_check(check), None
    except (PeakdayError, OSError) as error:
        words, code = explain(error) or ("", None)
        if code not in (Exit.ENVIRONMENT, Exit.USAGE):
            raise
        before = check.outcome() if check is not None else Outcome(options.scenario, ())
        if code == Exit.USAGE:
            return replace(before, lines=(*before.lines, Line("command", "check", Verdict.REFUSED, words))), error
        return replace(before, lines=(*before.lines, Line("build", "start", Verdict.BROKEN, words))), None


def request_of(options: CheckOptions) -> CheckRequest:
    """Raises `CommandError` for a gate nobody knows, or one that lacks what it needs."""
    unknown = sorted(set(options.only) - set(GATES))
    if unknown:
        raise CommandError(f"--only {unknown[0]}: no such gate; known: {', '.join(GATES)}")
    if options.against is not None and not options.against.strip():
        raise CommandError("--against is empty: is the variable that it comes from set?")
    if "regression" in options.only and options.against is None:
        raise CommandError("--only regression needs --against: a commit, an address or run records")
    only = options.only or GATES
    return CheckRequest(
        scenario=options.scenario,
        sets=options.sets,
        against=options.against,
        target=options.target,
        model=options.model,
        accept=options.accept,
        only=only,
        seed=options.seed,
        consent=options.consent,
    )


def settings(options: CheckOptions) -> Checks:
    """checks.yaml with the command line laid over it."""
    checks = load_checks(options.checks)
    unknown = sorted(set(checks.regression.metrics) - {*BLOCK_METRICS, CPU_METRIC})
    if unknown:
        known = ", ".join((*BLOCK_METRICS, CPU_METRIC))
        raise CommandError(f"regression.metrics: {unknown[0]!r} is not measured; known: {known}")
    given = {
        "rate_per_s": rate_per_s(options.rate, "--rate") if options.rate else None,
        "for_s": duration_s(options.for_, "--for") if options.for_ else None,
    }
    runs = checks.runs.model_copy(update={key: value for key, value in given.items() if value is not None})
    gate = checks.regression
    if options.pairs is not None:
        looks = (*(look for look in gate.looks if look < options.pairs), options.pairs)
        gate = gate.model_copy(update={"looks": looks})
    return checks.model_copy(update={"runs": runs, "regression": gate})


def check_noise(options: CheckOptions, runs: int, console: Console) -> tuple[str, Noise]:
    """Measure this machine against itself, add the session to noise.json, and say what a gate can see here."""
    check = prepare(request_of(options), settings(options), console)
    everything = add_session(Path(NOISE_FILE), noise_session(check, runs, time.monotonic))
    noise = like_the_last(everything)
    others = len(everything["sessions"]) - len(noise["sessions"])
    text = noise_text(noise, check.checks.regression)
    text += f"\n{others} session(s) of another machine, scenario or load in {NOISE_FILE} left out" if others else ""
    return text, noise


def noise_text(noise: Noise, gate: Regression) -> str:
    """The table: scatter by metric, the smallest change seen at each look, and its price in minutes."""
    sessions = noise["sessions"]
    run_s = sum(session["run_s"] for session in sessions) / len(sessions)
    count = sum(len(session["runs"]) for session in sessions)
    by_metric = scatters(noise, [*gate.metrics, CPU_METRIC])
    looks = "  ".join(f"{f'{look} pairs':>10}" for look in gate.looks)
    lines = [
        f"{count} equal runs in {len(sessions)} session(s), {run_s:.0f} s each with start and drain",
        f"smallest change that fails the gate {POWER:.0%} of the time (margin beside the metric)",
        f"{'metric':<22} {'run to run':>10} {'drift':>7}  {looks}",
    ]
    for metric, scatter in by_metric.items():
        changes = "  ".join(f"{one.change:>+10.1%}" for one in seen(scatter, metric, gate, run_s))
        name = f"{metric} {gate.metrics.get(metric, 0.10):.0%}"
        lines.append(f"{name:<22} {scatter.run:>10.1%} {scatter.drift:>7.1%}  {changes}")
    minutes = "  ".join(f"{2 * look * run_s / 60:>6.1f} min" for look in gate.looks)
    lines.append(f"{'time it takes':<41}  {minutes}")
    invalid = sum(session.get("invalid", 0) for session in sessions)
    if invalid:
        lines.append(
            f"{invalid} of {count} runs were INVALID: the machine was busy, so this is more noise than need be"
        )
    hopeless = [metric for metric, scatter in by_metric.items() if metric != CPU_METRIC and scatter.run > HOPELESS]
    if hopeless:
        lines.append(
            f"wall time is hopeless here ({', '.join(hopeless)}): gate {CPU_METRIC} instead, CPU time of the system "
            "per turn in units of a fixed loop's (regression.metrics in checks.yaml)"
        )
    return "\n".join(lines)


def save_one(options: CheckOptions, runs: int, promote: bool, console: Console) -> tuple[str, dict[str, object]]:
    """A new baseline: where it lies, or that the one before stays."""
    check: Check = prepare(request_of(options), settings(options), console)
    saved = save_baseline(check, runs, promote)
    name, where = check.resolved.scenario.name, check.checks.baselines
    text = f"{where}/{baselines.exact_key(name)}: {len(saved.snapshot.figures)} exact figures"
    if saved.kept_other:
        text += f" stay as they were: {', '.join(saved.kept_other[:3])} differ here; --promote replaces them"
    if saved.runs:
        kept = f"{saved.runs} runs added, {saved.history_runs} kept"
        text += f"\n{where}/{baselines.history_key(name)}: {kept}"
    data = {
        "path": f"{where}/{baselines.exact_key(name)}", "current": not saved.kept_other, "runs": saved.runs,
        "exact": dict(saved.snapshot.figures), "differ": list(saved.kept_other),
    }  # fmt: skip
    return text, data


def list_all(
    scenario: str, checks: Path | None, consent: Consent, console: Console
) -> tuple[str, list[dict[str, object]]]:
    """The baseline that checks compare with, its history, and versions of an earlier peakday; damaged ones say so."""
    store = open_store(load_checks(checks).baselines, consent, console)
    rows: list[dict[str, object]] = []
    if baselines.is_kept(store, scenario):
        rows.append({"file": baselines.exact_key(scenario), "current": True, **_listed(store, scenario)})
    with contextlib.suppress(baselines.BaselineError):
        if runs := baselines.history(store, scenario):
            newest = runs[-1].get("utc") or "unknown"
            rows.append({"file": baselines.history_key(scenario), "what": f"{len(runs)} runs, the newest of {newest}"})
    rows += [
        {"file": f"{scenario}/{version}.json", "what": "of an earlier peakday", "version": version}
        for version in baselines.old_versions(store, scenario)
    ]
    lines = [f"{'*' if row.get('current') else ' '} {row['file']:<30} {row['what']}" for row in rows]
    return "\n".join(lines) or f"no baseline of {scenario} yet; `peakday baseline save {scenario}` makes one", rows


def _listed(store: Store, scenario: str) -> dict[str, object]:
    try:
        known = baselines.current(store, scenario)
    except baselines.BaselineError as error:
        return {"what": str(error), "damaged": str(error)}
    what = f"{len(known.figures)} figures of {known.name}, workload {known.workload}"
    return {"what": what, "workload": known.workload, "saved": dict(known.saved)}


def promote_one(
    scenario: str, version: str, checks: Path | None, consent: Consent, console: Console
) -> tuple[str, dict[str, object]]:
    """Compare with a version that an earlier peakday saved."""
    store = open_store(load_checks(checks).baselines, consent, console)
    baselines.promote(store, scenario, version)
    return f"{scenario}: checks compare with {version} now", {"scenario": scenario, "current": version}
