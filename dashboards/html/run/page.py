"""The parts of a run's report, in the order in which an engineer asks: believe it? what load? how slow? what failed?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dashboards.html.axes import run_span_s
from dashboards.html.page import Banner, Bullets, Paragraph, Part, Preformatted, Prose, marked
from dashboards.html.run.customers import conversation_panels
from dashboards.html.run.latency import errors_panel, latency_panels
from dashboards.html.run.load import generator_panels, load_panels
from dashboards.html.run.quality import quality_panels
from dashboards.html.run.server import server_panels
from dashboards.html.run.tokens import cache_panels, cost_panels
from dashboards.html.run.turn import turn_panels
from dashboards.numbers.run import Number, find, run_numbers, run_simulated, tail
from dashboards.numbers.units import clock
from loadgen.record import Run


def run_banners(run: Run) -> list[Banner]:
    """Verdict, then what was simulated, then the record's own warnings."""
    return [verdict_banner(run.info), *_simulated_banner(run.info), *_warning_banner(run.info)]


def verdict_banner(info: Mapping[str, Any]) -> Banner:
    """Whether the run is valid."""
    verdict = info.get("verdict")
    if info.get("state") != "finished":
        return Banner("bad", "UNFINISHED", "The run was cut off: what follows is what it had written, and no verdict.")
    if not isinstance(verdict, Mapping) or "valid" not in verdict:
        return Banner("bad", "NO VERDICT", "run.json holds no verdict: nothing below is known to be valid.")
    if verdict["valid"]:
        return Banner("good", "VALID", "The generator kept its own schedule: these numbers hold.")
    text = "The generator was at fault. Do not quote, compare or plan from them."
    return Banner("bad", "INVALID", text, tuple(verdict.get("reasons") or ()))


def _simulated_banner(info: Mapping[str, Any]) -> list[Banner]:
    names = run_simulated(info)
    if not names:
        return []
    text = (
        f"Emulators answered for {', '.join(names)}. Latency, tokens, cache and cost below rehearse the system; "
        "they measure no real model."
    )
    return [Banner("warn", "SIMULATED", text)]


def _warning_banner(info: Mapping[str, Any]) -> list[Banner]:
    notes = [*map(str, info.get("warnings") or ()), *(f"Skipped: {item}" for item in info.get("skipped") or ())]
    return [Banner("warn", "NOTE", "The record says:", tuple(notes))] if notes else []


def run_facts(run: Run) -> list[tuple[str, str]]:
    """Where the run comes from, for the head of the page."""
    info = run.info
    scenario = info.get("scenario") or {}
    supplies = ", ".join(f"{name} {kind}" for name, kind in (info.get("provenance") or {}).items())
    pairs = [
        ("Scenario", f"{scenario.get('name', '?')} ({str(scenario.get('hash', ''))[:12]})"),
        ("Seed", str(info.get("seed", "?"))),
        ("Started", str(info.get("started_utc", "?"))),
        ("Target", _targets(info)),
        ("Provenance", supplies or "not recorded"),
        ("peakday", str(info.get("peakday_version", "?"))),
    ]
    return [(name, value) for name, value in pairs if value]


def _targets(info: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{target.get('kind', '?')} {target.get('url', '')}".strip() if isinstance(target, Mapping) else str(target)
        for target in info.get("targets") or ()
    )


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
    ours = [
        Part("generator", "Generator health", generator_panels(run, numbers, span_s)),
        Part("load", "Load", load_panels(run, numbers, span_s), lead=_first_limits(run.info)),
    ]
    targets = [
        Part("latency", "Latency", latency_panels(run, numbers, span_s)),
        Part("turns", "One turn", turn_panels(run)),
        Part("errors", "Errors", [errors_panel(run)]),
        Part("cache", "Prompt cache", cache_panels(run, numbers, span_s)),
        Part("cost", "Tokens and cost", cost_panels(run, numbers)),
        Part("people", "Conversations", [*conversation_panels(run, numbers), *quality_panels(run)]),
        Part("server", "Server metrics", server_panels(run, span_s)),
    ]
    if run_simulated(run.info):
        targets = [marked(part) for part in targets]
    return [*ours, *targets, Part("reproduce", "How to reproduce", lead=_reproduce(run.info))]


def _first_limits(info: Mapping[str, Any]) -> list[Prose]:
    items = [limit_sentence(item) for item in info.get("what_broke_first") or ()]
    if not items:
        return [Paragraph("no limit on record was exceeded.", lead="First limit exceeded:", quiet=True)]
    return [Paragraph("", lead="Limits exceeded, in order"), Bullets(items, numbered=True)]


def limit_sentence(item: object) -> str:
    """One entry of what_broke_first: a sentence, or a mapping that has one."""
    if not isinstance(item, Mapping):
        return str(item)
    for key in ("sentence", "text", "what"):
        if item.get(key):
            at = item.get("at_s")
            return f"{clock(float(at))} {item[key]}" if isinstance(at, (int, float)) else str(item[key])
    return ", ".join(f"{key} {value}" for key, value in item.items())


def _reproduce(info: Mapping[str, Any]) -> list[Prose]:
    host = info.get("host") or {}
    facts = [
        ("command", info.get("command")),
        ("scenario hash", (info.get("scenario") or {}).get("hash")),
        ("seed", info.get("seed")),
        ("commit", info.get("commit")),
        ("processes", info.get("processes")),
        *[(f"host {key}", value) for key, value in host.items()],
    ]
    lines = [
        f"{name}: {' '.join(map(str, value)) if isinstance(value, list) else value}"
        for name, value in facts
        if value is not None
    ]
    return [
        Paragraph("The same scenario and seed give the same sessions on any number of workers.", quiet=True),
        Preformatted("\n".join(lines)),
    ]
