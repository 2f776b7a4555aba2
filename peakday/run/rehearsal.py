"""The verb `run`, straight on: scenario and options -> load -> estimate -> quotas -> consent -> one job -> record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from dashboards.terminal import run_answer, run_summary
from facts.stack import Otlp
from host.errors import Exit
from host.ports import listen
from loadgen.job import Load, LoadJob
from loadgen.record import Run, load_run
from loadgen.run import Outcome, SystemEnded, run_load
from loadgen.schedule.estimate import Bare, estimate
from loadgen.seal import shared_secret
from loadgen.targets.bedrock import prices_of
from loadgen.targets.openai_options import OpenAiOptions
from peakday.agent.quality import keep_sample
from peakday.config import load_config
from peakday.consent import require_live
from peakday.console import Console
from peakday.errors import CommandError
from peakday.guard import (
    Named,
    Target,
    admit,
    admit_agreed,
    check_allowed,
    check_answers,
    check_bind,
    check_metrics_bind,
    checked_url,
    parse_targets,
)
from peakday.records.folders import new_folder, relative
from peakday.run.estimate import budget_line, dollars, estimate_lines
from peakday.run.load import (
    LoadOptions,
    load_of,
    make_job,
    on_stack,
    on_targets,
    several_calls,
    target_spec,
    turn_bound_usd,
)
from peakday.run.progress import watching
from peakday.run.quota_check import throttle_lines
from peakday.run.replay import add_hits, hits_line
from peakday.run.slo_table import any_missed, slo_data, slo_lines
from peakday.run.spans import export_run, named_receiver, receiver
from peakday.stack.local import RealModels
from peakday.stack.real_models import on_real_models, own_models, real_models
from peakday.stack.resolved import Resolved, open_stack, resolve
from slo.slo import slos_of

NEEDS_OUR_STACK = ("assistant", "quotas", "faults", "models")
"""Scenario keys that only our own stack can be given: with --target they are refused rather than ignored."""


@dataclass(frozen=True)
class Rehearsal:
    """A load run before it begins: nothing has been started and nothing sent.

    Attributes:
        targets: what is driven; empty: our own stack, on `real` models where that is set. pages: what is scraped.
        left_out: a line for each thing that real models do without. spans_to: where spans go.
    """

    resolved: Resolved
    options: LoadOptions
    load: Load
    targets: tuple[Named, ...]
    pages: tuple[Named, ...]
    real: RealModels | None
    left_out: tuple[str, ...]
    spans_to: Named | None = None


@dataclass(frozen=True)
class Printing:
    """What the verb `run` prints. dry: only what a run would ask for. details: the rest of the numbers too."""

    console: Console
    dry: bool = False
    details: bool = False


def run_command(scenario: str, sets: Sequence[str], options: LoadOptions, printing: Printing, seed: int | None) -> int:
    """The verb `run`: its answer, or what it would ask for; returns the exit code."""
    rehearsal, console = prepare(scenario, sets, options, seed), printing.console
    if printing.dry:
        console.result(*dry_run(rehearsal))
        return Exit.OK
    outcome = rehearse(rehearsal, console)
    add_hits(rehearsal.load, outcome.run_dir, options.cache_tokens, options.cache_block)
    record = load_run(outcome.run_dir)
    slos = slos_of(rehearsal.resolved.scenario.slo.model_dump())
    lines = slo_lines(record, slos, rehearsal.load.length_s)
    replay = [hits_line(record.info.replay)] if record.info.replay is not None else []
    text = "\n\n".join([(run_summary if printing.details else run_answer)(record), *replay, read_on(record)])
    console.result(text, record.info.to_json() | {"slo": slo_data(lines)})
    if options.fail_on_slo and outcome.exit_code == Exit.OK and any_missed(lines):
        return Exit.GATE_FAILED
    return outcome.exit_code


def read_on(record: Run) -> str:
    """Where more of a run stands, and what is made of it; its folder stands last."""
    plan = f", `peakday plan {record.info.scenario_name}` what it takes" if record.info.valid else ""
    return f"read on: `peakday report latest` draws its page{plan}; --details prints more here\n{relative(record.path)}"


def prepare(scenario: str, sets: Sequence[str], options: LoadOptions, seed: int | None) -> Rehearsal:
    """What was typed, read and checked; a dry run and the run itself begin with the very same.

    Raises:
        CommandError: an option or target is refused.
    """
    if not scenario:
        raise CommandError("SCENARIO is missing: name one of `peakday scenario list`, or the path of a YAML file")
    config = load_config()
    if options.master_bind is not None:
        check_bind(options.master_bind, config, insecure=options.insecure_network)
        shared_secret()
    if options.metrics_port is not None:
        check_metrics_bind(options.metrics_host, config, insecure=options.insecure_network)
        listen(options.metrics_port, options.metrics_host, "--metrics-port").close()  # taken: an error before the start
    targets = parse_targets(options.targets)
    pages = [Named("http", checked_url(url, "--scrape")) for url in options.scrape]
    for target in targets:
        check_allowed(target, config)
    for page in pages:
        check_allowed(page, config, "--scrape")
    spans_to = named_receiver(options.otlp) if options.otlp is not None else None
    resolved, real = resolve(scenario, sets, seed), None
    left_out: list[str] = []
    if targets:
        refuse_unusable(resolved, sets)
    elif options.consent.live:
        real = real_models(options.openai_url)
        resolved, left_out = on_real_models(resolved, real)
    load = load_of(resolved, options)
    return Rehearsal(resolved, options, load, tuple(targets), tuple(pages), real, tuple(left_out), spans_to)


def dry_run(rehearsal: Rehearsal) -> tuple[str, dict[str, object]]:
    """What a run would ask for; nothing is started and nothing is sent."""
    expected, throttles = estimate(rehearsal.load, bare_model(rehearsal)), throttle_lines_of(rehearsal)
    notes = rehearsal.load.arrivals_notes
    text = "\n".join([*estimate_lines(expected), *throttles, *rehearsal.left_out, *notes])
    return text, {**asdict(expected), "throttles": throttles, "arrivals_notes": list(notes)}


def bare_model(rehearsal: Rehearsal) -> Bare | None:
    """The model that is asked itself, where every target is one; None where an assistant is asked."""
    targets, request = rehearsal.targets, rehearsal.options.request or OpenAiOptions()
    kinds = {target.kind for target in targets}
    if not targets or not kinds <= {"openai", "bedrock"}:
        return None
    tokens_max = request.tokens_max(rehearsal.resolved.scenario.assistant.max_tokens)
    model = target_spec(targets[0], rehearsal.options.model).model
    return Bare(len(request.system or ""), tokens_max, prices_of(model) if kinds == {"bedrock"} else None)


def throttle_lines_of(rehearsal: Rehearsal) -> list[str]:
    """Which of the account's quotas the run would pass, and when."""
    named, model = rehearsal.targets, rehearsal.options.model
    direct = [target_spec(target, model).model for target in named if target.kind == "bedrock"]
    return throttle_lines(rehearsal.load, rehearsal.resolved.scenario, rehearsal.options.quotas, direct)


def rehearse(rehearsal: Rehearsal, console: Console) -> Outcome:
    """Run the load and return its outcome; a local stack is started and stopped around it when no target is named.

    Raises:
        CommandError: not agreed to, or the target or the stack does not answer; nothing looks finished then.
    """
    for line in (*rehearsal.left_out, *rehearsal.load.arrivals_notes):
        console.say(line)
    config, real = load_config(), rehearsal.real is not None
    if real:
        ask_first(rehearsal, console)
    targets = admit_agreed(rehearsal.targets, config, lambda: ask_first(rehearsal, console), agreed=real)
    pages = [admit(named, config, "--scrape") for named in rehearsal.pages]
    for named in own_models(rehearsal.real):
        check_answers(admit(named, config, "--openai-url"), "--openai-url")
    options, spans = spans_of(rehearsal)
    outcome = offered(replace(rehearsal, options=options), targets, pages, spans, console)
    if spans is not None:
        console.say(export_run(Path(outcome.run_dir), spans))
    return outcome


def spans_of(rehearsal: Rehearsal) -> tuple[LoadOptions, Otlp | None]:
    """Where spans go, if anywhere; the run's folder is then named before its stack starts, which is told of it.

    Raises:
        CommandError: the receiver does not answer (exit 5).
    """
    options = rehearsal.options
    if rehearsal.spans_to is None:
        return options, None
    out = options.out or new_folder("runs", rehearsal.resolved.scenario.name, datetime.now(UTC))
    return replace(options, out=out), receiver(rehearsal.spans_to, out.name)


def offered(
    rehearsal: Rehearsal, targets: list[Target], pages: list[Target], spans: Otlp | None, console: Console
) -> Outcome:
    """Make the run, on what was named or on a local stack that is started and stopped around it."""
    load, options = rehearsal.load, rehearsal.options
    if targets:
        return run_job(make_job(load, options, on_targets(targets, options, pages)), console)
    by_event = options.arrivals is None and options.rate_per_s is None and not options.replay
    start_s = load.window[0] if by_event else 0.0
    with open_stack(
        rehearsal.resolved, window_start_s=start_s, real=rehearsal.real, otlp=spans, console=console
    ) as stack:
        outcome = run_job(make_job(load, options, on_stack(stack, pages)), console, stack.ended)
        ratio = rehearsal.resolved.scenario.assistant.judge_ratio
        keep_sample(stack, Path(outcome.run_dir), judge_ratio=ratio, keep_text=options.keep_text, console=console)
        return outcome


def ask_first(rehearsal: Rehearsal, console: Console) -> None:
    """Say what a run on real models is expected to cost, and return only when that is agreed to.

    Raises:
        CommandError: not agreed to, or no budget was named.
    """
    scenario, options, targets = rehearsal.resolved.scenario, rehearsal.options, rehearsal.targets
    expected = estimate(rehearsal.load, bare_model(rehearsal))
    where = ", ".join(target.url for target in targets) or f"real models in {', '.join(scenario.event.regions)}"
    what = f"{expected.turns:,.0f} turns of {scenario.name} on {where}"
    if options.consent.live:
        for line in [*estimate_lines(expected), *throttle_lines_of(rehearsal)]:
            console.say(line)
        if options.budget_usd is None:
            raise CommandError(f"{what}: needs --budget-usd, where it stops. Expected cost: {dollars(expected)}")
        bound_usd = turn_bound_usd(rehearsal.load, options, calls=several_calls(targets))
        console.say(budget_line(options.budget_usd, bound_usd))
    require_live(options.consent, what, dollars(expected), console)


def run_job(job: LoadJob, console: Console, system_ended: SystemEnded | None = None) -> Outcome:
    """Run one job, saying how it goes; on our own stack `system_ended` says whether a process of it has ended."""
    console.say(f"load run {job.run_id}: {job.length_s:g} s, {job.workers} worker(s)")
    with watching(job, console) as progress:
        return run_load(job, progress, system_ended)


def refuse_unusable(resolved: Resolved, sets: Sequence[str]) -> None:
    """A target is used as it is: switches, quotas and faults of the scenario cannot be applied to it."""
    named = {text.split("=")[0].split(".")[0] for text in sets}
    keys = sorted(named & set(NEEDS_OUR_STACK))
    keys += [key for key in ("quotas", "faults") if getattr(resolved.scenario, key) and key not in keys]
    if keys:
        raise CommandError(
            f"{resolved.scenario.name}: {', '.join(keys)} cannot be applied to a target of your own; "
            "remove them, or leave --target out to use the local stack"
        )
