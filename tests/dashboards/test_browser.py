"""The pages in a real browser: drawn, quiet, and asking no network."""

from __future__ import annotations

import asyncio
import json
import os

import pytest

from dashboards.figures import run_numbers
from dashboards.report import write_report
from tests.dashboards.browser import CHROMIUM, DESKTOP, PHONE, browser

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: apt-get install chromium")

_SHOWN = """JSON.stringify([...document.querySelectorAll('[data-value]')].map(e =>
  [e.dataset.name, e.dataset.value, e.querySelector('.v').textContent]))"""
_DRAWN = "[...document.querySelectorAll('.chart')].filter(e => !e.querySelector('.trace')).length"


def look(page, size, scheme, expressions):
    async def inside():
        async with browser() as tab:
            seen = await tab.open(page, size, scheme)
            seen.values = {name: await tab.evaluate(text) for name, text in expressions.items()}
            return seen

    return asyncio.run(inside())


@pytest.mark.parametrize(("size", "scheme"), [(DESKTOP, "light"), (PHONE, "dark")])
def test_a_report_draws_every_chart_and_asks_no_network(run, plan, out, size, scheme):
    page = write_report(out, run=run, plan=plan)
    seen = look(page, size, scheme, {"empty": _DRAWN, "width": "document.documentElement.scrollWidth", "shown": _SHOWN})
    assert seen.requests == [page.as_uri()]
    assert seen.errors == []
    assert seen.values["empty"] == 0
    assert seen.values["width"] <= size[0], "the page scrolls sideways"
    record = {number.key: number for number in run_numbers(run)}
    shown = [(record[key], value, text) for key, value, text in json.loads(seen.values["shown"]) if key in record]
    assert len(shown) >= 40
    assert all(float(value) == number.value and text == number.text for number, value, text in shown)


def test_the_gate_installs_a_browser():
    """A browser test that is skipped in the gate proves nothing: $PEAKDAY_NEEDS_BROWSER makes absence a failure."""
    assert CHROMIUM or not os.environ.get("PEAKDAY_NEEDS_BROWSER")
