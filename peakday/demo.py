"""The whole story on this machine, without an account or a chip: a rate sweep, a calibration, a plan, a report."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from capacity.calibration.fit import Identity, calibrate
from capacity.calibration.limits import CalibrationError, EngineLimits
from capacity.calibration.observed import observed_calls
from capacity.plan import Plan, PlanError
from dashboards.terminal import lines_of, plan_summary, run_summary
from host.errors import Exit
from loadgen.analysis.self_check import SelfCheck
from loadgen.job import LoadError
from loadgen.record import Run, load_run
from neuron_bench.step_model import StepModel
from peakday.console import Console
from peakday.doctor import check_generator
from peakday.plan.plan import Sources, plan_scenario
from peakday.plan.step_models import step_model_text
from peakday.records.folders import new_folder, relative
from peakday.run.load import LoadOptions, load_of, make_job, on_stack
from peakday.run.rehearsal import run_job
from peakday.stack.local import Stack
from peakday.stack.resolved import Resolved, open_stack, resolve

SCENARIO = "smoke"
STEPS_PER_S = (2.5, 4.0, 5.5)
STEP_S = (7.0, 8.0, 12.0)
"""Interactions per second of each load step, and how long it lasts; the last one feeds the plan."""
STEP_DRAIN_S = 8.0
"""Turns still under way so long after a step are left as censored: nobody waits for the last of them in a demo."""
CHECK_PER_S = 2 * max(STEPS_PER_S)
CHECK_S = 3.0
CHECK_DRAIN_S = 2.0
"""The generator is checked against the emulator at twice the highest rate for so long before the sweep."""
SIMULATED = (
    "* SIMULATED: the models are emulated, so this rehearses the system and measures no model; never order from it."
)
SLOWER = 0.5
"""The sweep's rates are taken by this where the generator, or the emulator, cannot keep time at the check's rate."""
MODEL = "custom-8b"
ONE_REPLICA = {
    "schema": "peakday.emulator/1",
    "profiles": {"custom-8b/trn2": {"engine": {"replicas": 1, "source": "demo: a calibration is of one replica"}}},
}


def run_demo(*, seed: int | None, console: Console) -> tuple[str, dict[str, object]]:
    """Run the demo; the text to print, and the same as data.

    An INVALID run (a busy machine, mostly) is said on top and does not stop the story: the plan is then made from an
    earlier valid run of the scenario or from its assumptions, never from an INVALID run.
    """
    resolved = resolve(SCENARIO, [], seed)
    check, runs = climb(resolved, console)
    top = runs[-1]
    valid = top.info.valid
    calibration = try_calibration(runs)
    plan, folder = plan_scenario(
        resolved.scenario,
        resolved.scenario_hash,
        Sources(run=str(top.path) if valid else None),
        out=None,
        seed=resolved.seed,
        console=console,
    )
    text = story(top, plan, check, calibration, folder)
    data = {
        "valid": valid,
        "check": check,
        "runs": [run.info.to_json() for run in runs],
        "calibration": calibration if isinstance(calibration, str) else step_model_text(calibration),
        "plan": asdict(plan),
        "report": f"{folder}/report.html",
    }
    return text, data


def choose_rates(check: SelfCheck) -> tuple[tuple[float, ...], str]:
    """The sweep's rates, and why: the usual ones where everything kept time at twice the highest, else slower ones."""
    error_s, lag_s = check.ttft_error_s[1], check.start_lag_s[1]
    off = f"its TTFT is off by {error_s * 1e3:.1f} ms at p99, its starts by {lag_s * 1e3:.1f} ms"
    kept = f"at {check.rate_per_s:g}/s {off}"
    if check.valid:
        return STEPS_PER_S, f"{kept}; valid, so the sweep goes up to {max(STEPS_PER_S):g}/s"
    rates = tuple(rate * SLOWER for rate in STEPS_PER_S)
    return rates, f"{kept}; not valid ({check.reasons[0]}), so the sweep goes up to {max(rates):g}/s only"


def check_rates(resolved: Resolved, stack: Stack, console: Console) -> tuple[tuple[float, ...], str]:
    """Check the generator for three seconds and choose the rates; slow ones where nothing could be compared."""
    console.say(f"checking the generator at {CHECK_PER_S:g}/s for {CHECK_S:g} s")
    try:
        return choose_rates(check_generator(resolved, stack, CHECK_PER_S, CHECK_S, CHECK_DRAIN_S))
    except LoadError as error:
        rates = tuple(rate * SLOWER for rate in STEPS_PER_S)
        return rates, f"{error}; the sweep goes up to {max(rates):g}/s only"


def climb(resolved: Resolved, console: Console) -> tuple[str, list[Run]]:
    """What the check of the generator said, then one run for each load step, all on one local stack."""
    runs = []
    with open_stack(resolved, profiles=ONE_REPLICA, console=console) as stack:
        rates, said = check_rates(resolved, stack, console)
        for rate, length in zip(rates, STEP_S, strict=True):
            out = new_folder("runs", f"{resolved.scenario.name}-{rate:g}-per-s", datetime.now(UTC))
            options = LoadOptions(rate_per_s=rate, for_s=length, out=out)
            job = make_job(load_of(resolved, options), options, on_stack(stack))
            outcome = run_job(job.drained_within(STEP_DRAIN_S), console, stack.ended)
            if outcome.exit_code in (Exit.INTERRUPTED, Exit.ABORTED):
                raise KeyboardInterrupt
            runs.append(load_run(Path(outcome.run_dir)))
    return said, runs


def try_calibration(runs: list[Run]) -> StepModel | str:
    """The step times that the sweep shows, or why it cannot: one or the other, never nothing."""
    engine = EngineLimits(max_num_seqs=32, max_batched_tokens=2048, block_tokens=32, kv_blocks=8192)
    identity = Identity(MODEL, "trainium2", 4, 1.0, "emulator", "profiles.yaml", "-")
    try:
        return calibrate([observed_calls(run, MODEL) for run in runs], engine, identity)
    except (CalibrationError, PlanError) as refusal:
        return f"refused: {refusal}"


def story(top: Run, plan: Plan, check: str, calibration: StepModel | str, folder: Path) -> str:
    """The demo in a screen: verdict, load, the plan's numbers, what is exceeded first, and where to read on."""
    if not isinstance(calibration, str):
        worst = max(abs(row.error_ratio) for row in calibration.hold_out)
        calibration = (
            f"step times of {MODEL} within {worst:.0%} on each of {len(calibration.hold_out)} held-out figures "
            "(of the emulator, so SIMULATED; the plan uses published ones)"
        )
    verdict = "VALID" if top.info.valid else f"INVALID, not used for the plan: {'; '.join(top.info.reasons)}"
    return "\n".join(
        [
            f"Run {top.run_id}: {verdict}",
            *lines_of(run_summary(top), ("turns", "TTFT", "cache", "token cost", "first limit")),
            f"  generator    {check}",
            f"  calibration  {calibration}",
            "",
            f"Plan {plan.plan_id}: {plan.scenario.name}",
            *lines_of(plan_summary(plan), ("carries", "first limit", "chips", "cost", "event", "order")),
            "",
            SIMULATED,
            f"run     {relative(top.path)}",
            f"plan    {folder}/report.html, plan.json, plan.xlsx",
            "open    `peakday serve` prints the address of all of it as pages",
            "talk    `peakday up`, and open the page that it prints; or `peakday chat`",
        ]
    )
