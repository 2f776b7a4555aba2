"""The whole story on this machine, without an account or a chip: rehearse, plan, report."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from peakday.errors import Exit
from peakday.folders import relative
from peakday.output import Talk
from peakday.planning import Sources, plan_scenario
from peakday.rehearsal import LoadOptions, rehearse

SCENARIO = "smoke"


def run_demo(*, seed: int | None, talk: Talk) -> tuple[str, dict[str, Any]]:
    """Run the demo; the text to print, and the same as data.

    An INVALID run (a busy machine, mostly) is said on top and does not stop the story: the plan is then made from an
    earlier valid run of the scenario or from its assumptions, never from a run that nobody vouches for.
    """
    from dashboards.terminal import plan_summary, run_summary
    from loadgen.record import load_run
    from scenarios.loading import load_scenario, scenario_hash

    scenario = load_scenario(SCENARIO)
    outcome = rehearse(SCENARIO, [], LoadOptions(), seed=seed, talk=talk)
    run = load_run(outcome.run_dir)
    valid = outcome.exit_code != Exit.INVALID_RUN
    plan, folder = plan_scenario(
        scenario,
        scenario_hash(scenario),
        Sources(run=str(outcome.run_dir) if valid else None),
        out=None,
        seed=scenario.seed if seed is None else seed,
        talk=talk,
    )
    top = "" if valid else f"INVALID run, not used for the plan: {'; '.join(run.info['verdict']['reasons'])}\n\n"
    paths = f"run     {relative(outcome.run_dir)}\nplan    {folder}/plan.json, plan.xlsx\nreport  {folder}/report.html"
    text = f"{top}{run_summary(run)}\n\n{plan_summary(plan)}\n\n{paths}"
    return text, {"valid": valid, "run": run.info, "plan": asdict(plan), "report": f"{folder}/report.html"}
