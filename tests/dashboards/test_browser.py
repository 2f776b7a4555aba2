"""The pages in a real browser: drawn, quiet, fitting the screen, and asking no network."""

from __future__ import annotations

import asyncio
import json
import os

import pytest

from dashboards.html.compare import write_compare
from dashboards.numbers.run import run_numbers
from dashboards.order.page import write_order
from dashboards.report import write_report
from tests.dashboards.browser import CHROMIUM, DESKTOP, PHONE, browser
from tests.dashboards.plans import make_plan

needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: apt-get install chromium")

_ASKED = {
    "empty": "[...document.querySelectorAll('.chart')].filter(e => !e.querySelector('.trace')).length",
    "charts": "document.querySelectorAll('.chart').length",
    "width": "document.documentElement.scrollWidth",
    "headings": "[...document.querySelectorAll('h1,h2,h3')].map(e => e.tagName).join('')",
    "unnamed": "[...document.querySelectorAll('[role=img],[role=region],nav')].filter(e => !e.ariaLabel).length",
    "paper": "getComputedStyle(document.body).backgroundColor",
    "shown": """JSON.stringify([...document.querySelectorAll('[data-value]')].map(e =>
        [e.dataset.name, e.dataset.value, e.querySelector('.v').textContent]))""",
}
LOOKS = {
    "report-light": ("report", DESKTOP, "light"),
    "report-dark-phone": ("report", PHONE, "dark"),
    "compare-dark": ("compare", DESKTOP, "dark"),
    "order-phone": ("order", PHONE, "light"),
    "bench-light": ("bench", DESKTOP, "light"),
    "bench-dark-phone": ("bench", PHONE, "dark"),
    "compare-plans": ("compare-plans", DESKTOP, "light"),
    "compare-benches-phone": ("compare-benches", PHONE, "light"),
}

CHARTS_MIN = {"order": 0, "bench": 1, "compare-plans": 0, "compare-benches": 0}
"""Charts each kind of page has at least, where it is not three."""


@pytest.fixture(scope="module")
def seen(run, bench, tmp_path_factory):
    """Each page opened once, in one browser: what it asked of the network, what it complained of, what it shows."""
    folder = tmp_path_factory.mktemp("pages")
    pages = {
        "report": write_report(folder / "report.html", run=run, plan=make_plan()),
        "compare": write_compare(folder / "compare.html", run, run),
        "bench": write_report(folder / "bench.html", bench=bench),
        "compare-plans": write_compare(folder / "plans.html", make_plan(), make_plan(simulated=False)),
        "compare-benches": write_compare(folder / "benches.html", bench, bench),
        "order": write_order(make_plan(), folder / "order.html"),
    }

    async def look():
        found = {}
        async with browser() as tab:
            for name, (page, size, scheme) in LOOKS.items():
                found[name] = await tab.open(pages[page], size, scheme)
                found[name].values = {key: await tab.evaluate(text) for key, text in _ASKED.items()}
                found[name].page = pages[page].as_uri()
        return found

    return asyncio.run(look())


@needs_browser
@pytest.mark.parametrize("name", LOOKS)
def test_a_page_asks_no_network_and_complains_of_nothing(seen, name):
    assert seen[name].requests == [seen[name].page]
    assert seen[name].errors == []


@needs_browser
@pytest.mark.parametrize("name", LOOKS)
def test_a_page_draws_every_chart_and_fits_the_screen(seen, name):
    values = seen[name].values
    assert values["charts"] >= CHARTS_MIN.get(LOOKS[name][0], 3)
    assert values["empty"] == 0
    assert values["width"] <= LOOKS[name][1][0], "the page scrolls sideways"


@needs_browser
@pytest.mark.parametrize("name", LOOKS)
def test_a_page_reads_well_aloud(seen, name):
    """One h1, no level skipped, and every chart, scrolling box and navigation has its words."""
    headings = seen[name].values["headings"]
    assert headings.startswith("H1H2")
    assert headings.count("H1") == 1
    assert seen[name].values["unnamed"] == 0


@needs_browser
def test_dark_and_light_are_told_apart(seen):
    assert seen["report-light"].values["paper"] != seen["report-dark-phone"].values["paper"]


@needs_browser
def test_the_numbers_on_screen_are_those_of_the_record(seen, run):
    record = {number.key: number for number in run_numbers(run)}
    shown = [row for row in json.loads(seen["report-light"].values["shown"]) if row[0] in record]
    assert len(shown) >= 40
    for key, value, text in shown:
        assert (float(value), text) == (record[key].value, record[key].text)


def test_the_gate_has_a_browser():
    """A browser test that is skipped in the gate proves nothing: $PEAKDAY_NEEDS_BROWSER makes absence a failure."""
    assert CHROMIUM or not os.environ.get("PEAKDAY_NEEDS_BROWSER")
