"""What was typed, as the load of a run, and as the one job that offers it to what is driven."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from dashboards.html.live import live_page
from facts import reader
from host.environment import commit, host_facts, peakday_version
from host.errors import refusal
from host.processes import End
from host.redaction import shown_command, shown_url
from loadgen.job import Load, LoadJob, TargetSpec
from loadgen.schedule.estimate import turn_usd_max
from loadgen.targets.openai_options import OpenAiOptions, openai_options
from peakday.consent import NO_CONSENT, Consent
from peakday.errors import CommandError
from peakday.guard import Named, Target, admitted, parse_targets
from peakday.records.folders import cache_folder, new_folder
from peakday.run.options import check_metrics
from peakday.run.replay import drives_models, longest_call, plan_notes, planned, returns_token_ids
from peakday.stack.local import Stack
from peakday.stack.resolved import Resolved
from scenarios.arrivals import read_replay
from scenarios.questions import read_questions, write_messages

WHERE_SHOWN = "with chat completions, or where a mapping's body names {images}"
OPENAI_ONLY = "--api-key-env, --header, --system, --extra-body, --max-tokens and --completions are of openai targets"


@dataclass(frozen=True)
class LoadOptions:
    """What `run` was given beyond the scenario. None: as the scenario says."""

    targets: tuple[str, ...] = ()
    model: str | None = None
    request: OpenAiOptions | None = None
    questions: Path | None = None
    window: tuple[float, float] | None = None
    rate_per_s: float | None = None
    for_s: float | None = None
    scale: float = 1.0
    arrivals: Path | None = None
    processes: int = 1
    remote_workers: int = 0
    master_bind: str | None = None
    master_port: int = 5557
    insecure_network: bool = False
    users: int | None = None
    keep_text: bool = False
    fail_on_slo: bool = False
    budget_usd: float | None = None
    metrics_port: int | None = None
    metrics_host: str = "127.0.0.1"
    scrape: tuple[str, ...] = ()
    web_port: int | None = None
    otlp: str | None = None
    out: Path | None = None
    consent: Consent = NO_CONSENT
    openai_url: str | None = None
    quotas: Path | None = None
    replay: tuple[Path, ...] = ()
    live_output: bool | None = None
    cache_tokens: int | None = None
    cache_block: int = 16


@dataclass(frozen=True)
class Driven:
    """What a run drives, and what it has beside it: pages to scrape, and on our own stack emulator and planner."""

    targets: tuple[TargetSpec, ...]
    scrape_urls: tuple[str, ...] = ()
    admitted: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    emulator_url: str | None = None
    planner_url: str | None = None
    planner_model: str = "planner"
    ended: Callable[[], End | None] | None = None  # on our own stack: whether a process of it has ended

    @property
    def per_turn_calls(self) -> bool:
        """Whether a turn may take several model calls."""
        return several_calls(self.targets)


def several_calls(targets: Iterable[Named | TargetSpec]) -> bool:
    """Whether a turn may take several model calls: on any target but a model itself."""
    return all(target.kind in ("assistant", "http", "module") for target in targets)


def load_of(resolved: Resolved, options: LoadOptions) -> Load:
    """What is offered, whatever is driven.

    Raises:
        CommandError: options that exclude or need each other, or a window that is not in the event.
        ScenarioError: an arrival file that cannot be read.
    """
    check_options(options, resolved)
    log = read_replay(options.arrivals, options.window) if options.arrivals is not None else None
    event_s = resolved.scenario.event.length_s
    messages, notes = asked_messages(resolved, options)
    if options.replay:
        return _replay_load(resolved, options, messages)
    return Load(
        scenario=resolved.scenario.model_dump(mode="json", by_alias=True),
        scenario_hash=resolved.scenario_hash,
        seed=resolved.seed,
        messages=str(messages),
        catalogue=str(resolved.world.catalogue),
        window=options.window or (0.0, event_s if log is None else log.length_s),
        scale=options.scale,
        rate_per_s=options.rate_per_s,
        for_s=options.for_s,
        arrivals_file=str(options.arrivals.resolve()) if options.arrivals else None,
        arrivals_notes=(*(log.warnings if log is not None else ()), *notes),
        closed_loop_users=options.users,
    )


def _replay_load(resolved: Resolved, options: LoadOptions, messages: Path) -> Load:
    """The load of a replayed trace: its window and rate are in its plan."""
    path, plan = planned(
        options.replay, options.targets, window=options.window, rate_per_s=options.rate_per_s, for_s=options.for_s,
        scale=options.scale, seed=resolved.seed, live_output=options.live_output,
    )  # fmt: skip
    start_s = options.window[0] if options.window is not None else 0.0
    return Load(
        scenario=resolved.scenario.model_dump(mode="json", by_alias=True),
        scenario_hash=resolved.scenario_hash,
        seed=resolved.seed,
        messages=str(messages),
        window=(start_s, start_s + plan.length_s),
        scale=options.scale,
        arrivals_notes=plan_notes(plan),
        replay_file=str(path.resolve()),
    )


def asked_messages(resolved: Resolved, options: LoadOptions) -> tuple[Path, tuple[str, ...]]:
    """The file of messages that are asked: the world's, or those of `--questions`; and what the record says of it.

    Raises:
        ScenarioError: a questions file that cannot be used.
        CommandError: pictures in it that a target does not send.
    """
    questions = options.questions
    if questions is None:
        return resolved.world.messages, ()
    entries = read_questions(questions)
    pictures = {url for entry in entries for each in entry.images for url in each}
    if pictures:
        check_pictures(questions, options, addresses=any(not url.startswith("data:") for url in pictures))
    path = write_messages(entries, cache_folder() / "questions")
    asked = sum(len(entry.texts) for entry in entries)
    return path, (f"questions of {questions.name}: {len(entries)} entries, {asked} messages, sha256 {path.stem}",)


def check_pictures(questions: Path, options: LoadOptions, *, addresses: bool) -> None:
    """Refuse a picture that a target would leave out. `addresses`: some are addresses, not data.

    Raises:
        CommandError: it is left out, or cannot be sent as an address.
    """
    for target in parse_targets(options.targets) or [Named("assistant", "", {})]:
        mapping = target.spec.get("mapping") or {}
        chat = target.kind == "openai" and (options.request is None or options.request.chat)
        if not chat and target.kind not in ("assistant", "bedrock") and "{images}" not in str(mapping.get("body")):
            raise CommandError(f"--questions {questions}: has pictures; {target.kind} targets send them {WHERE_SHOWN}")
        if addresses and target.kind in ("assistant", "bedrock"):
            raise CommandError(
                f"--questions {questions}: {target.kind} targets take pictures as files, not as addresses"
            )


def check_options(options: LoadOptions, resolved: Resolved) -> None:
    """Refuse what cannot be run before anything starts: a bad one then costs nothing and leaves nothing."""
    problems = list(_option_problems(options, resolved))
    if problems:
        raise refusal(CommandError, problems)
    check_metrics(options.metrics_host, options.metrics_port)
    if options.replay:
        _check_replay(options)


def _option_problems(options: LoadOptions, resolved: Resolved) -> Iterator[str]:
    """Options that exclude or need each other, or a window that is not in the event."""
    if options.request is not None and not options.targets:
        yield f"{OPENAI_ONLY}; name one with --target openai=URL"
    if options.rate_per_s is not None and options.for_s is None:
        yield "--rate needs --for: how long the rate lasts, such as --for 15s"
    if options.for_s is not None and options.rate_per_s is None and options.users is None:
        yield "--for needs --rate: so many interactions per second, such as --rate 5/s"
    if options.rate_per_s is not None and (options.window or options.arrivals):  # a replay's window too
        yield "--rate replaces the event, so it excludes --window and --arrivals; leave one out"
    if options.scale != 1.0 and not options.replay and (options.rate_per_s, options.users) != (None, None):
        yield "--scale thins the event, so it excludes --rate and --users; ask for a lower rate, or for fewer users"
    if options.scale != 1.0 and options.arrivals is not None:
        yield "--scale thins the event, and --arrivals brings its own times; leave one out"
    if options.out is not None and (options.out / "run.json").exists():
        yield f"{options.out}: already holds a run; choose another --out"
    length_s = resolved.scenario.event.length_s
    logged = options.arrivals is not None or options.replay
    if options.window is not None and options.window[1] > length_s and not logged:
        start, end = options.window
        yield (
            f"--window {start:g}s:{end:g}s: {resolved.scenario.name} lasts {length_s:g} s; "
            f"choose a window inside 0s:{length_s:g}s"
        )


def _check_replay(options: LoadOptions) -> None:
    """What excludes a replay, and what only one to a model's server takes."""
    for name, given in (
        ("--arrivals", options.arrivals),
        ("--users", options.users),
        ("--questions", options.questions),
    ):
        if given is not None:
            raise CommandError(f"--replay brings its own arrivals and turns, so it excludes {name}; leave one out")
    if options.keep_text and drives_models(options.targets):
        raise CommandError("--keep-text: a replay sends token ids, and there is no text to keep; leave it out")
    if options.live_output and not returns_token_ids(options.targets):
        raise CommandError("--live-output needs a server that returns token ids: --target openai=URL (vLLM)")


def on_targets(targets: Sequence[Target], options: LoadOptions, pages: Sequence[Target] = ()) -> Driven:
    """Targets that are up already, and the pages to scrape beside them."""
    specs = tuple(target_spec(target, options.model, options.request) for target in targets)
    return Driven(specs, tuple(page.url for page in pages), admitted([*targets, *pages]))


def on_stack(stack: Stack, pages: Sequence[Target] = ()) -> Driven:
    """The assistant of our own stack."""
    assistant = stack.endpoints["assistant"]
    return Driven(
        targets=(TargetSpec("assistant", assistant),),
        scrape_urls=(f"{assistant}/metrics", *(page.url for page in pages)),
        admitted=admitted(pages),
        emulator_url=stack.emulator_url,
        ended=stack.ended,
        planner_url=stack.endpoints.get("openai"),
        planner_model=stack.models.get("planner", "planner"),
    )


def target_spec(target: Named, model: str | None, request: OpenAiOptions | None = None) -> TargetSpec:
    """A named target as the load engine knows it.

    Raises:
        CommandError: options of an `openai` target for one that is none.
    """
    if request is not None and target.kind != "openai":
        raise CommandError(
            f"--target {target.kind}={shown_url(target.url)}: {OPENAI_ONLY}; a mapping file holds its own"
        )
    known = reader.models()
    protocol = {"openai": "openai", "bedrock": "converse"}.get(target.kind)
    default = next((key for key, entry in known.items() if entry.protocol == protocol), None)
    wanted = model or default
    model_id = known[wanted].model_id if wanted in known else wanted
    asked = (request or openai_options()).as_json() if target.kind == "openai" else None
    return TargetSpec(target.kind, target.url, model=model_id, request=asked, **target.spec)


def make_job(load: Load, options: LoadOptions, driven: Driven) -> LoadJob:
    """The one job of a run: everything the load engine needs, resolved."""
    folder = options.out or new_folder("runs", load.scenario["name"], datetime.now(UTC))
    return LoadJob.of(
        load,
        run_dir=str(folder.resolve()),
        run_id=folder.name,
        targets=driven.targets,
        processes=options.processes,
        remote_workers=options.remote_workers,
        bind_host=options.master_bind or "127.0.0.1",
        bind_port=options.master_port if options.remote_workers else None,
        emulator_url=driven.emulator_url,
        planner_url=driven.planner_url,
        planner_model=driven.planner_model,
        scrape_urls=driven.scrape_urls,
        admitted=dict(driven.admitted),
        keep_text=options.keep_text,
        abort_rules=True if options.consent.live else None,
        budget_usd=options.budget_usd,
        turn_usd_max=turn_bound_usd(load, options, calls=driven.per_turn_calls),
        metrics_port=options.metrics_port,
        metrics_host=options.metrics_host,
        web_port=options.web_port,
        page=live_page(folder.name) if options.web_port is not None else "",
        **environment(),
    )


def turn_bound_usd(load: Load, options: LoadOptions, *, calls: bool) -> float:
    """What one turn may cost at most, where a budget holds it; `calls`: it may take several model calls."""
    if options.budget_usd is None:
        return 0.0
    longest = longest_call(load.replay_file) if load.replay_file is not None else (0, 0)
    return turn_usd_max(load.scenario, assistant=calls, replayed=options.arrivals, longest=longest)


def environment() -> dict[str, object]:
    """What was typed, and on which machine and version."""
    command = ("peakday", *shown_command(sys.argv[1:]))
    return {"command": command, "commit": commit(), "peakday_version": peakday_version(), "host": host_facts()}
