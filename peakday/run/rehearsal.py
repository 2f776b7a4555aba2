"""A load run from what was typed: scenario, window and target resolved into one job, the stack around it if needed."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from host.environment import commit, host_facts, peakday_version
from host.errors import Exit
from peakday.agent.quality import keep_sample
from peakday.config import load_config
from peakday.consent import NO_CONSENT, Consent, require_live
from peakday.console import Console
from peakday.errors import CommandError
from peakday.records.folders import new_folder, relative
from peakday.run.progress import watching
from peakday.stack.local import RealModels, Stack
from peakday.stack.real_models import costs_money, is_bedrock, on_real_models, real_models
from peakday.stack.resolved import Resolved, open_stack, resolve
from peakday.targets import Target, check_allowed, check_answers, parse_targets

if TYPE_CHECKING:
    from loadgen.job import LoadJob, TargetSpec
    from loadgen.run import Outcome
    from loadgen.schedule.estimate import Estimate

NEEDS_OUR_STACK = ("assistant", "quotas", "faults", "models")
"""Scenario keys that only our own stack can be given: with --target they are refused rather than ignored."""

OUR_OWN = Target("assistant", "http://127.0.0.1")
"""The assistant of a stack that is not up yet, for estimates."""


@dataclass(frozen=True)
class LoadOptions:
    """What `run` was asked beyond the scenario. None: as the scenario says."""

    targets: tuple[str, ...] = ()
    model: str | None = None
    window: tuple[float, float] | None = None
    rate_per_s: float | None = None
    for_s: float | None = None
    scale: float = 1.0
    arrivals: Path | None = None
    processes: int = 1
    remote_workers: int = 0
    master_port: int = 5557
    users: int | None = None
    keep_text: bool = False
    budget_usd: float | None = None
    metrics_port: int | None = None
    scrape: tuple[str, ...] = ()
    web_port: int | None = None
    out: Path | None = None
    consent: Consent = NO_CONSENT
    openai_url: str | None = None
    quotas: Path | None = None


def run_command(
    scenario: str, sets: Sequence[str], options: LoadOptions, *, dry: bool, seed: int | None, console: Console
) -> int:
    """The verb `run`: its summary, or with `dry` what it would ask for; returns the exit code."""
    if not scenario:
        raise CommandError("SCENARIO is missing: name one of `peakday scenario list`, or the path of a YAML file")
    if dry:
        console.result(*dry_run(scenario, sets, options, seed=seed))
        return Exit.OK
    from dashboards.terminal import run_summary
    from loadgen.record import load_run

    outcome = rehearse(scenario, sets, options, seed=seed, console=console)
    recorded = load_run(outcome.run_dir)
    console.result(f"{run_summary(recorded)}\n\n{relative(outcome.run_dir)}", recorded.info.to_json())
    return outcome.exit_code


def work_for(master_host: str, master_port: int, processes: int) -> int:
    """Be workers of a run whose master is elsewhere; returns the exit code."""
    from loadgen.run import run_worker

    return run_worker(master_host, master_port, processes)


def rehearse(
    scenario: str, sets: Sequence[str], options: LoadOptions, *, seed: int | None, console: Console
) -> Outcome:
    """Run the load and return its outcome; a local stack is started and stopped around it when no target is named.

    Raises:
        CommandError: an option or target is refused, or the stack cannot start; nothing looks finished then.
    """
    targets = parse_targets(options.targets)
    config = load_config()
    for target in targets:
        check_allowed(target, config)
    for url in options.scrape:
        check_allowed(Target("http", url), config, option="--scrape")
    resolved = resolve(scenario, sets, seed)
    check_options(options, resolved)
    if targets:
        return load_targets(resolved, sets, options, targets, console)
    real = real_models(options.openai_url) if options.consent.live else None
    if real is not None:
        resolved, left_out = on_real_models(resolved, real)
        for line in left_out:
            console.say(line)
        ask_first(resolved, options, [], console)
    start_s = options.window[0] if options.window and options.arrivals is None and options.rate_per_s is None else 0.0
    with open_stack(resolved, window_start_s=start_s, real=real, console=console) as stack:
        outcome = run_job(make_job(resolved, options, [], stack), console)
        ratio = resolved.scenario.assistant.judge_ratio
        keep_sample(stack, Path(outcome.run_dir), judge_ratio=ratio, keep_text=options.keep_text, console=console)
        return outcome


def load_targets(
    resolved: Resolved, sets: Sequence[str], options: LoadOptions, targets: Sequence[Target], console: Console
) -> Outcome:
    """Run the load on targets that are up already, asking first where their answers cost money."""
    refuse_unusable(resolved, sets)
    paid = [target for target in targets if is_bedrock(target)]
    if paid:  # before so much as a connection is tried
        ask_first(resolved, options, paid, console)
    for target in targets:
        check_answers(target)
    if not paid and any(costs_money(target) for target in targets):
        ask_first(resolved, options, targets, console)
    return run_job(make_job(resolved, options, targets, None), console)


def ask_first(resolved: Resolved, options: LoadOptions, targets: Sequence[Target], console: Console) -> None:
    """Say what a run on real models is expected to cost, and return only when that is agreed to.

    Raises:
        CommandError: not agreed to, or no budget was named.
    """
    asked = estimated(resolved, options, targets)
    where = (
        ", ".join(target.url for target in targets) or f"real models in {', '.join(resolved.scenario.event.regions)}"
    )
    what = f"{asked.turns:,.0f} turns of {resolved.scenario.name} on {where}"
    if options.consent.live:
        for line in [*estimate_lines(asked), *throttled(resolved, options, targets)]:
            console.say(line)
        if options.budget_usd is None:
            raise CommandError(f"{what}: needs --budget-usd, where it stops. Expected cost: {dollars(asked)}")
        console.say(budget_line(make_job(resolved, options, targets or [OUR_OWN], None)))
    require_live(options.consent, what, f"{dollars(asked)}, list prices", console)


def budget_line(job: LoadJob) -> str:
    """How far a budget reaches: each turn under way holds its upper bound of it until its cost is known.

    Raises:
        CommandError: not even one turn fits.
    """
    budget_usd, bound_usd = job.budget_usd or 0.0, job.turn_usd_max
    if budget_usd < bound_usd:
        raise CommandError(
            f"--budget-usd {budget_usd:g}: one turn may cost up to {bound_usd:.2f} USD, so none could begin; raise it, "
            "or lower assistant.limits.calls or assistant.max_tokens"
        )
    together = int(budget_usd / bound_usd)
    return (
        f"budget        {budget_usd:g} USD; a turn under way reserves its upper bound of {bound_usd:.2f} USD, "
        f"so at most {together:,} at once, fewer as it is spent"
    )


def run_job(job: LoadJob, console: Console) -> Outcome:
    """Run one job, saying how it goes."""
    from loadgen.run import run_load

    console.say(f"load run {job.run_id}: {job.length_s:g} s, {job.workers} worker(s)")
    with watching(job, console) as progress:
        return run_load(job, progress)


def dry_run(
    scenario: str, sets: Sequence[str], options: LoadOptions, *, seed: int | None
) -> tuple[str, dict[str, Any]]:
    """What a run would ask for; nothing is started and nothing is sent."""
    targets = parse_targets(options.targets)
    resolved = resolve(scenario, sets, seed)
    check_options(options, resolved)
    left_out: list[str] = []
    if options.consent.live and not targets:
        resolved, left_out = on_real_models(resolved, RealModels(openai_url=options.openai_url))
    asked = estimated(resolved, options, targets)
    throttles = throttled(resolved, options, targets)
    data = {**asdict(asked), "throttles": throttles}
    return "\n".join([*estimate_lines(asked), *throttles, *left_out]), data


def estimated(resolved: Resolved, options: LoadOptions, targets: Sequence[Target]) -> Estimate:
    """What the run would ask for. No target: our own assistant."""
    from loadgen.schedule.estimate import estimate

    return estimate(make_job(resolved, options, targets or [OUR_OWN], None))


def throttled(resolved: Resolved, options: LoadOptions, targets: Sequence[Target]) -> list[str]:
    """Which of the account's quotas the run would pass, and when."""
    from peakday.run.quota_check import throttle_lines

    job = make_job(resolved, options, targets or [OUR_OWN], None)
    return throttle_lines(job, resolved.scenario, options.quotas)


def estimate_lines(asked: Estimate) -> list[str]:
    """An estimate as a person wants to read it."""
    return [
        f"sessions      {asked.sessions:,}",
        f"interactions  {asked.interactions:,.0f}",
        f"turns         {asked.turns:,.0f}, at most {asked.peak_turns_per_s:,.1f}/s",
        f"tokens        {asked.input_tokens:,.0f} in, {asked.output_tokens:,.0f} out (assumed sizes)",
        f"dollars       {dollars(asked)}, list prices, were the models real",
        f"quota         {asked.peak_requests_per_min:,.0f} requests/min and "
        f"{asked.peak_input_tokens_per_min:,.0f} input tokens/min at the peak",
        f"generator     {asked.workers} worker(s), {asked.sockets:,} sockets",
    ]


def dollars(asked: Estimate) -> str:
    """The estimate's dollars with their range."""
    if asked.usd is None:
        return "no priced model may answer"
    low, mid, high = asked.usd
    return f"{mid:,.2f} USD ({low:,.2f} to {high:,.2f})"


def make_job(resolved: Resolved, options: LoadOptions, targets: Sequence[Target], stack: Stack | None) -> LoadJob:
    """Everything the load engine needs, resolved."""
    from loadgen.job import LoadJob
    from loadgen.schedule.estimate import turn_usd_max

    scenario = resolved.scenario.model_dump(mode="json", by_alias=True)
    assistant = all(target.kind in ("assistant", "http", "module") for target in targets)
    folder = options.out or new_folder("runs", resolved.scenario.name, datetime.now(UTC))
    if (folder / "run.json").exists():
        raise CommandError(f"{folder}: already holds a run; choose another --out")
    window = options.window or (0.0, resolved.scenario.event.length_s)
    return LoadJob(
        run_dir=str(folder.resolve()),
        run_id=folder.name,
        scenario=scenario,
        scenario_hash=resolved.scenario_hash,
        seed=resolved.seed,
        targets=tuple(target_spec(target, options) for target in targets) or (stack_target(stack),),
        messages=str(resolved.world.messages),
        window=window,
        scale=options.scale,
        rate_per_s=options.rate_per_s,
        for_s=options.for_s,
        arrivals_file=str(options.arrivals.resolve()) if options.arrivals else None,
        processes=options.processes,
        remote_workers=options.remote_workers,
        bind_host="0.0.0.0" if options.remote_workers else "127.0.0.1",  # noqa: S104 (asked for by --master)
        bind_port=options.master_port if options.remote_workers else None,
        closed_loop_users=options.users,
        catalogue=str(resolved.world.catalogue),
        keep_text=options.keep_text,
        abort_rules=True if options.consent.live else None,
        budget_usd=options.budget_usd,
        turn_usd_max=(
            0.0
            if options.budget_usd is None
            else turn_usd_max(scenario, assistant=assistant, replayed=options.arrivals)
        ),
        metrics_port=options.metrics_port,
        web_port=options.web_port,
        **beside(stack, options.scrape),
        **circumstances(),
    )


def beside(stack: Stack | None, scrape: Sequence[str]) -> dict[str, Any]:
    """What a run has beside its targets: pages to scrape, and on our own stack stand-ins and the query planner."""
    if stack is None:
        return {"scrape_urls": tuple(scrape)}
    return {
        "stand_ins_url": stack.stand_ins_url,
        "planner_url": stack.endpoints.get("openai"),
        "planner_model": stack.models.get("planner", "planner"),
        "scrape_urls": (f"{stack.endpoints['assistant']}/metrics", *scrape),
    }


def circumstances() -> dict[str, Any]:
    """What was typed, and on which machine and version."""
    command = ("peakday", *(shlex.quote(word) for word in sys.argv[1:]))
    return {"command": command, "commit": commit(), "peakday_version": peakday_version(), "host": host_facts()}


def target_spec(target: Target, options: LoadOptions) -> TargetSpec:
    """A named target as the load engine knows it."""
    from facts import reader
    from loadgen.job import TargetSpec

    known = reader.models()
    protocol = {"openai": "openai", "bedrock": "converse"}.get(target.kind)
    default = next((key for key, entry in known.items() if entry.protocol == protocol), None)
    model = options.model or default
    return TargetSpec(target.kind, target.url, model=known[model].model_id if model in known else model, **target.spec)


def stack_target(stack: Stack | None) -> TargetSpec:
    """The local assistant."""
    from loadgen.job import TargetSpec

    assert stack is not None
    return TargetSpec("assistant", stack.endpoints["assistant"])


def refuse_unusable(resolved: Resolved, sets: Sequence[str]) -> None:
    """A target is used as it is: switches, quotas and faults of the scenario cannot be applied to it."""
    asked = {text.split("=")[0].split(".")[0] for text in sets}
    keys = sorted(asked & set(NEEDS_OUR_STACK))
    keys += [key for key in ("quotas", "faults") if getattr(resolved.scenario, key) and key not in keys]
    if keys:
        raise CommandError(
            f"{resolved.scenario.name}: {', '.join(keys)} cannot be applied to a target of your own; "
            "remove them, or leave --target out to use the local stack"
        )


def check_options(options: LoadOptions, resolved: Resolved) -> None:
    """Refuse what cannot be run before anything starts: a bad one then costs nothing and leaves nothing.

    Raises:
        CommandError: options that exclude or need each other, or a window that is not in the event.
        ScenarioError: an arrival file that cannot be read.
    """
    if options.rate_per_s is not None and options.for_s is None:
        raise CommandError("--rate needs --for: how long the rate lasts, such as --for 15s")
    if options.for_s is not None and options.rate_per_s is None and options.users is None:
        raise CommandError("--for needs --rate: so many interactions per second, such as --rate 5/s")
    if options.rate_per_s is not None and (options.window or options.arrivals):
        raise CommandError("--rate replaces the event, so it excludes --window and --arrivals; leave one out")
    if options.arrivals is not None:
        from scenarios.arrivals import read_replay

        read_replay(options.arrivals, options.window)
        return
    length_s = resolved.scenario.event.length_s
    if options.window is not None and options.window[1] > length_s:
        start, end = options.window
        raise CommandError(
            f"--window {start:g}s:{end:g}s: {resolved.scenario.name} lasts {length_s:g} s; "
            f"choose a window inside 0s:{length_s:g}s"
        )
