"""Drives a build: the scripted turns of the snapshot checks, and load runs, each with its record and its values."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path

import yaml

from capacity.plan import Plan
from capacity.planner import make_plan
from host.control_token import control_headers
from host.environment import peakday_version
from host.errors import Exit
from host.fetch import fetch
from loadgen.job import LoadJob
from loadgen.record import load_run
from loadgen.run_info import RunInfo
from neuron_bench.fit.published import step_models
from peakday.config import load_config
from peakday.console import Console
from peakday.errors import CommandError
from peakday.gate.builds.builds import Build, Running
from peakday.gate.metrics import run_values, tail
from peakday.gate.regression.noise import calibration_loop
from peakday.gate.settings import Runs
from peakday.gate.snapshot.figures import Figures, figures, plan_figures
from peakday.gate.snapshot.own import drive_own, gave_up, not_covered, own_figures
from peakday.gate.snapshot.script import Question, drive, questions, without_waits
from peakday.guard import Target, admit_unpaid, admitted, origin, parse_targets
from peakday.run.load import LoadOptions, load_of, make_job, on_stack, on_targets, target_spec
from peakday.run.rehearsal import run_job
from peakday.stack.resolved import Resolved

CONNECTIONS = "peakday_(?:emulator|stand_in)_connections_total"
"""A pattern: a build from before the emulator had its name counts under the old one."""
CONTROL_WITHIN_S = 10.0
BLOCK_METRICS = (
    "ttft_s_p50", "ttft_s_p95", "ttft_s_p99", "e2e_s_p50", "e2e_s_p95", "e2e_s_p99", "tpot_s_p50", "tpot_s_p95",
    "route_s_p50", "goodput_per_s", "achieved_rate_per_s", "error_ratio", "cost_usd_per_interaction",
    "cost_usd_per_interaction_p50", "cache_hit_token_ratio", "model_calls_per_turn",
)  # fmt: skip
"""What is kept of every run."""


@dataclass(frozen=True)
class Measured:
    """One load run: its record, whether it is valid, and its values by metric."""

    path: str
    valid: bool
    reasons: tuple[str, ...]
    values: dict[str, float | None]
    tails: dict[str, int]
    host: Mapping[str, object]
    workload: str
    turns: int


@dataclass(frozen=True)
class Scripted:
    """One drive of the script: the rows of its turns, and their figures.

    not_covered: what a system of the user's own does not tell -> how it would.
    """

    rows: list[dict[str, object]]
    figures: Figures
    not_covered: Mapping[str, str] = field(default_factory=dict)


def scripted_own(build: Build, script: Sequence[Question], *, console: Console) -> Scripted:
    """The snapshot figures of a system of the user's own: its script asked to warm caches, and asked again.

    Raises:
        CommandError: it cannot be started or ended meanwhile, is not owned, or may cost money.
    """
    with build.up() as running:
        targets = admitted_targets(running)
        spec, place = target_spec(targets[0], build.model), targets[0]
        console.say(f"snapshot checks: {len(script)} turns of your questions, after as many to warm up ({build.label})")
        for _warming in (True, False):
            rows = drive_own(spec, script, admitted([place]), place.addresses)
            if (end := running.ended()) is not None:
                raise CommandError(str(end), Exit.ENVIRONMENT)
            if gave_up(rows):
                break
    known = own_figures(rows)
    return Scripted(rows, known, not_covered(rows, known, spec.kind))


def scripted(build: Build, resolved: Resolved, *, plan: bool, console: Console) -> Scripted:
    """The snapshot figures of a build, on a fresh local stack whose emulator does not wait."""
    messages = json.loads(resolved.world.messages.read_text())["messages"]
    script = questions(messages, resolved.scenario.mix.intents)
    with build.up() as running:
        assert running.stack is not None
        url = running.stack.endpoints
        console.say(f"snapshot checks: {len(script)} scripted turns, one after another ({build.label})")
        _without_waits(url["bedrock"], resolved.scenario.models)
        before = connections(url["bedrock"])
        rows = drive(url["assistant"], script)
        after = connections(url["bedrock"])
    known = figures(rows)
    if before is not None and after is not None:
        known["model_connections"] = after - before - 1  # the second look is a connection too
    if plan:
        known |= plan_figures(fixed_plan(resolved))
    return Scripted(rows, known)


def _without_waits(url: str, models: Sequence[str]) -> None:
    raw = files("emulator").joinpath("profiles.yaml").read_text(encoding="utf-8")
    groups = without_waits(yaml.safe_load(raw))
    body = json.dumps({model: groups[model] for model in models if model in groups}).encode()
    fetch(f"{url}/control/profiles", body, within_s=CONTROL_WITHIN_S, headers=control_headers(url))


def connections(url: str) -> int | None:
    """Connections that the emulator has taken since they started; None where it does not count them."""
    text = fetch(f"{url}/metrics", within_s=CONTROL_WITHIN_S).decode()
    match = re.search(rf"^{CONNECTIONS}(?:{{[^}}]*}})? (\d+)", text, flags=re.MULTILINE)
    return int(match[1]) if match else None


def fixed_plan(resolved: Resolved) -> Plan:
    """A plan from the scenario's assumptions and published step times: a function of the code and the facts alone."""
    small = resolved.scenario.capacity.model_copy(update={"draws": min(200, resolved.scenario.capacity.draws)})
    return make_plan(
        resolved.scenario.model_copy(update={"capacity": small}),
        scenario_hash=resolved.scenario_hash,
        run=None,
        benches=[],
        step_models=list(step_models().values()),
        prices=None,
        seed=resolved.seed,
        now_utc=resolved.scenario.event.start_utc.isoformat(timespec="seconds"),
        version=peakday_version(),
        plan_id="check",
    )


def load_once(build: Build, resolved: Resolved, runs: Runs, *, number: int, out: Path, console: Console) -> Measured:
    """One load run against a freshly started build.

    Args:
        number: of the pair; both builds of a pair get the same arrivals and sessions, and no two pairs do.

    Raises:
        KeyboardInterrupt: interrupted; the record is then no evidence.
    """
    loop_cpu_s, loop_wall_s = calibration_loop()
    with build.up() as running:
        outcome = run_job(_job(build, running, resolved, runs, number, out), Console(quiet=True), running.ended)
    if outcome.exit_code == Exit.INTERRUPTED:
        raise KeyboardInterrupt
    record = load_run(outcome.run_dir)
    values = run_values(record, BLOCK_METRICS)
    turns = int(record.turns["status"].eq("ok").sum())
    values |= {"loop_cpu_s": loop_cpu_s, "loop_wall_over_cpu_ratio": loop_wall_s / loop_cpu_s}
    if running.cpu_s is not None and turns:
        values["cpu_loops_per_turn"] = running.cpu_s / turns / loop_cpu_s
    mark = "" if record.info.valid else f"  INVALID: {record.info.reasons[0]}"
    console.say(f"  {build.label}: {_short(values)}{mark}")
    return Measured(
        path=str(out),
        valid=record.info.valid,
        reasons=record.info.reasons,
        values=values,
        tails={name: count for name in BLOCK_METRICS if (count := tail(record, name)) is not None},
        host=record.info.host or {},
        workload=load_asked(record.info),
        turns=len(record.turns),
    )


def load_asked(info: RunInfo) -> str:
    """What a run was asked for, as one text: scenario, rate or window, scale. Runs that differ in it are not alike."""
    options = {"rate": info.rate, "window": info.window, "scale": info.scale}
    return f"scenario {info.scenario.hash if info.scenario else None}, {json.dumps(options, sort_keys=True)}"


def load_alone(options: str) -> str:
    """Of what a run was asked for the load, whatever the scenario's other keys: the assistant's switches, say."""
    return options.partition(", ")[2]


def admitted_targets(running: Running) -> list[Target]:
    """The targets of a build through the guard: `sut.target` is no way round it.

    Raises:
        CommandError: not owned, or its answers may cost money: check keeps no budget.
    """
    config = load_config()
    if running.unpaid:  # its port is another at each start, so no list can name it
        free = (origin(named.url) for named in parse_targets(running.targets, running.values))
        config = config.model_copy(update={"unpaid_targets": (*config.unpaid_targets, *free)})
    return admit_unpaid(running.targets, config, "check", "sut.target", running.values)


def _job(build: Build, running: Running, resolved: Resolved, runs: Runs, number: int, out: Path) -> LoadJob:
    event = runs.rate_per_s is None
    options = LoadOptions(
        targets=running.targets,
        model=build.model,
        questions=build.questions if build.is_own else None,
        window=(0.0, min(runs.for_s, resolved.scenario.event.length_s)) if event else None,
        rate_per_s=runs.rate_per_s,
        for_s=None if event else runs.for_s,
        processes=runs.processes,
        out=out,
    )
    stack = running.stack
    driven = on_stack(stack) if stack is not None else on_targets(admitted_targets(running), options)
    job = make_job(load_of(resolved, options), options, driven)
    return replace(job, seed=resolved.seed * 1_000 + number)


def _short(values: Mapping[str, float | None]) -> str:
    shown = []
    for name in ("ttft_s_p50", "tpot_s_p50", "goodput_per_s"):
        value = values.get(name)
        unit, factor = ("ms", 1e3) if "_s_" in name else ("/s", 1.0)
        shown.append(f"{name.removesuffix('_per_s')} {'-' if value is None else f'{value * factor:.4g} {unit}'}")
    return ", ".join(shown)


def stamp() -> str:
    """Now, as records write it."""
    return datetime.now(UTC).isoformat(timespec="seconds")
