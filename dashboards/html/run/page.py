"""The parts of a run's report, in the order in which an engineer asks: believe it? what load? how slow? what failed?"""

from __future__ import annotations

from dashboards.html.axes import run_span_s
from dashboards.html.page import Banner, Bullets, Paragraph, Part, Preformatted, Prose, marked
from dashboards.html.run.customers import conversation_panels
from dashboards.html.run.latency import errors_panel, latency_panels
from dashboards.html.run.load import generator_panels, load_panels
from dashboards.html.run.quality import quality_panels
from dashboards.html.run.server import server_panels
from dashboards.html.run.slices import slice_panels
from dashboards.html.run.slo import slo_panels
from dashboards.html.run.tokens import cache_panels, cost_panels
from dashboards.html.run.turn import turn_panels
from dashboards.numbers.run import Number, find, run_numbers, tail
from dashboards.numbers.stored import StoredRun, side_by_side
from dashboards.numbers.units import clock
from dashboards.numbers.warnings import SHOWN, at_most, by_weight
from loadgen.record import Run
from loadgen.run_info import Crossing, RunInfo


def run_banners(run: Run) -> list[Banner]:
    """Verdict, then what was simulated, then the record's own warnings."""
    return [verdict_banner(run.info), *_simulated_banner(run.info), *_warning_banner(run.info)]


def verdict_banner(info: RunInfo) -> Banner:
    """Whether the run is valid."""
    if not info.finished:
        return Banner("bad", "UNFINISHED", "The run was cut off: what follows is what it had written, and no verdict.")
    if info.verdict is None:
        return Banner("bad", "NO VERDICT", "run.json holds no verdict: nothing below is known to be valid.")
    if info.verdict.valid:
        return Banner("good", "VALID", "The generator kept its own schedule: these numbers hold.")
    text = "The generator was at fault. Do not quote, compare or plan from them."
    return Banner("bad", "INVALID", text, info.verdict.reasons)


def _simulated_banner(info: RunInfo) -> list[Banner]:
    if not info.simulated:
        return []
    text = (
        f"Emulators answered for {', '.join(info.simulated)}. Latency, tokens, cache and cost below rehearse the "
        "system; they measure no real model."
    )
    return [Banner("warn", "SIMULATED", text)]


def run_warnings(info: RunInfo) -> list[str]:
    """The record's warnings and what of note it skipped, the decisive ones first."""
    return by_weight([*(info.warnings or ()), *(f"skipped: {item}" for item in info.skipped_of_note)])


def _warning_banner(info: RunInfo) -> list[Banner]:
    notes = at_most(run_warnings(info), "under Warnings")
    return [Banner("warn", "NOTE", "The record says:", tuple(notes))] if notes else []


def run_facts(run: Run) -> list[tuple[str, str]]:
    """Where the run comes from, for the head of the page."""
    info = run.info
    scenario_hash = (info.scenario.hash if info.scenario else None) or ""
    supplies = ", ".join(f"{name} {kind}" for name, kind in (info.provenance or {}).items())
    pairs = [
        ("Scenario", f"{info.scenario_name or '?'} ({scenario_hash[:12]})"),
        ("Seed", "?" if info.seed is None else str(info.seed)),
        ("Started", info.started_utc or "?"),
        ("Target", ", ".join(f"{target.kind} {target.url}".strip() for target in info.targets or ())),
        ("Provenance", supplies or "not recorded"),
        ("peakday", info.peakday_version or "?"),
    ]
    return [(name, value) for name, value in pairs if value]


def run_headline(run: Run) -> list[Number]:
    """The eight numbers people ask for first."""
    numbers = run_numbers(run)
    wanted = [
        find(numbers, "ttft_s_p50"),
        tail(numbers, "ttft_s"),
        find(numbers, "e2e_s_p50"),
        tail(numbers, "e2e_s"),
        find(numbers, "goodput_per_s"),
        find(numbers, "error_ratio"),
        find(numbers, "cache_hit_token_ratio", level="all") or find(numbers, "cache_hit_token_ratio"),
        find(numbers, "cost_usd_per_interaction"),
    ]
    unique = {number.key: number for number in wanted if number is not None}
    return list(unique.values())


def run_parts(run: Run) -> list[Part]:
    """Every part of the report."""
    numbers = run_numbers(run)
    span_s = run_span_s(run)
    stored = StoredRun(run.path)
    panels = side_by_side(
        (
            lambda: latency_panels(run, numbers, span_s),
            lambda: cache_panels(stored, run.info, numbers, span_s),
            lambda: slo_panels(run, numbers),
            lambda: slice_panels(stored, span_s),
            lambda: turn_panels(stored),
            lambda: [*conversation_panels(stored, numbers), *quality_panels(run)],
            lambda: cost_panels(run, numbers),
            lambda: [errors_panel(run)],
        )
    )
    latency, cache, slos, slices, turns, people, cost, errors = panels
    ours = [
        Part("generator", "Generator health", generator_panels(run, numbers, span_s)),
        Part("load", "Load", load_panels(run, numbers, span_s), lead=_first_limits(run.info)),
    ]
    targets = [
        *([Part("slo", "SLOs", slos)] if slos else []),
        Part("latency", "Latency", latency),
        Part("turns", "One turn", turns),
        Part("errors", "Errors", errors),
        Part("cache", "Prompt cache", cache),
        Part("cost", "Tokens and cost", cost),
        Part("people", "Conversations", people),
        Part("server", "Server metrics", server_panels(run, span_s)),
        *([Part("slices", "Time slices", slices)] if slices else []),
    ]
    if run.info.simulated:
        targets = [marked(part) for part in targets]
    return [*ours, *targets, *_warnings(run.info), Part("reproduce", "How to reproduce", lead=_reproduce(run.info))]


def _warnings(info: RunInfo) -> list[Part]:
    """All of them, where the box on top does not hold all."""
    texts = run_warnings(info)
    return [Part("warnings", "Warnings", lead=[Bullets(texts, numbered=True)])] if len(texts) > SHOWN else []


def _first_limits(info: RunInfo) -> list[Prose]:
    items = [limit_sentence(crossing) for crossing in info.what_broke_first or ()]
    if not items:
        return [Paragraph("no limit on record was exceeded.", lead="First limit exceeded:", quiet=True)]
    return [Paragraph("", lead="Limits exceeded, in order"), Bullets(items, numbered=True)]


def limit_sentence(crossing: Crossing) -> str:
    """A limit that was exceeded, with the time at which it was."""
    return f"{clock(crossing.at_s)} {crossing.sentence}"


def _reproduce(info: RunInfo) -> list[Prose]:
    facts = [
        ("command", " ".join(info.command) if info.command is not None else None),
        ("scenario hash", info.scenario.hash if info.scenario else None),
        ("seed", info.seed),
        ("commit", info.commit),
        ("processes", info.processes),
        *[(f"host {key}", value) for key, value in (info.host or {}).items()],
    ]
    lines = [f"{name}: {value}" for name, value in facts if value is not None]
    return [
        Paragraph("The same scenario and seed give the same sessions on any number of workers.", quiet=True),
        Preformatted("\n".join(lines)),
    ]
