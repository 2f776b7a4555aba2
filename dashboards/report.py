"""`write_report`: a run, its plan and a bench as one self-contained HTML file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

from capacity.plan import Plan
from dashboards.html.bench import bench_banners, bench_facts, bench_parts
from dashboards.html.page import Page
from dashboards.html.plan.page import plan_banners, plan_facts, plan_headline, plan_parts
from dashboards.html.plan.why import why_links
from dashboards.html.render import write_page
from dashboards.html.run.page import run_banners, run_facts, run_headline, run_parts
from dashboards.numbers.stored import StoredTable
from host.errors import PeakdayError
from loadgen.record import Run, load_run
from neuron_bench.record import Bench

if TYPE_CHECKING:
    import pandas as pd


class ReportError(PeakdayError, ValueError):
    """A report that cannot be made; the message says what is missing."""

    page = "reports"


LARGE = ("turns", "calls", "tools")
"""Tables that grow with turns. A report reads them a column at a time, and of `events` and `texts` nothing."""


def load_for_report(path: Path | str) -> Run:
    """A run whose large tables stay in their files: ten million turns in a fraction of the memory."""
    run = load_run(path, {**dict.fromkeys(LARGE, ()), "events": (), "texts": ()})
    turns, calls, tools = (cast("pd.DataFrame", StoredTable(run.path, name)) for name in LARGE)
    return replace(run, turns=turns, calls=calls, tools=tools)


def write_report(out: Path, *, run: Run | None = None, plan: Plan | None = None, bench: Bench | None = None) -> Path:
    """Write one HTML file of what is given; the run comes first, then its plan, then the bench.

    Raises:
        ReportError: nothing to report.
    """
    pages = [
        page
        for page in (
            run_report(run) if run else None,
            plan_report(plan) if plan else None,
            bench_report(bench) if bench else None,
        )
        if page is not None
    ]
    if not pages:
        raise ReportError("nothing to report: name a run, a plan or a bench")
    return write_page(_together(pages), out)


def run_report(run: Run) -> Page:
    """The page of one run."""
    return Page(
        title=f"Run {run.run_id}",
        subtitle=" · ".join(filter(None, ("peakday", "load run", run.info.scenario_name))),
        banners=run_banners(run),
        headline=run_headline(run),
        parts=run_parts(run),
        facts=run_facts(run),
        command=" ".join(run.info.command or ("peakday", "report", run.run_id)),
    )


def plan_report(plan: Plan) -> Page:
    """The page of one plan."""
    return Page(
        title=f"Plan {plan.plan_id}",
        subtitle=f"peakday · capacity plan · {plan.scenario.name}",
        banners=plan_banners(plan),
        headline=plan_headline(plan),
        parts=plan_parts(plan),
        facts=plan_facts(plan),
        links=why_links(plan),
        command=f"peakday report {plan.plan_id}",
    )


def bench_report(bench: Bench) -> Page:
    """The page of one bench."""
    return Page(
        title=f"Bench {bench.bench_id}",
        subtitle="peakday · bench",
        banners=bench_banners(bench),
        headline=[],
        parts=bench_parts(bench),
        facts=bench_facts(bench),
        command=f"peakday report {bench.bench_id}",
    )


def _together(pages: list[Page]) -> Page:
    """Several pages as one: heads first, so every verdict stands above every number."""
    if len(pages) == 1:
        return pages[0]
    return Page(
        title=" and ".join(
            page.title if i == 0 else page.title[0].lower() + page.title[1:] for i, page in enumerate(pages)
        ),
        subtitle=pages[0].subtitle,
        banners=[banner for page in pages for banner in page.banners],
        headline=[number for page in pages for number in page.headline],
        parts=[part for page in pages for part in page.parts],
        facts=list(dict.fromkeys(fact for page in pages for fact in page.facts)),
        links={key: anchor for page in pages for key, anchor in page.links.items()},
        command=" and ".join(dict.fromkeys(page.command for page in pages)),
    )
