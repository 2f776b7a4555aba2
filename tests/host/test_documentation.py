"""Where an error leads: the site that is named, else the file; and every page that an error names is there."""

import importlib
from pathlib import Path

import pytest

from host.documentation import page_of
from host.errors import PeakdayError

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("site", "address"),
    [
        ("", "docs/alerts.md#turnsfail"),
        ("https://docs.example.com/peakday/", "https://docs.example.com/peakday/alerts.html#turnsfail"),
        ("javascript:alert(1)", "docs/alerts.md#turnsfail"),
        ("https://docs.example.com/\x1b[31m", "docs/alerts.md#turnsfail"),
    ],
)
def test_a_page_is_on_the_site_that_is_named_else_a_file(monkeypatch, site, address):
    monkeypatch.setenv("PEAKDAY_DOCS", site)
    assert page_of("alerts#turnsfail") == address


def test_every_error_names_a_page_and_a_heading_that_exist():
    """Packages are imported for their error classes; each names a file of docs/, and a heading where it has one."""
    for module in ("scenarios.errors", "capacity.plan", "loadgen.run_info", "loadgen.job", "assistant.errors",
                   "slo.slo", "neuron_bench.errors", "neuron_bench.step_model", "emulator.profiles", "facts.stack",
                   "peakday.gate.baselines.baseline", "peakday.serve.sketch", "dashboards.numbers.why"):  # fmt: skip
        importlib.import_module(module)

    def classes(base: type[PeakdayError]) -> list[type[PeakdayError]]:
        return [base, *(below for one in base.__subclasses__() for below in classes(one))]

    pages = {one.page for one in classes(PeakdayError) if not one.__module__.startswith("tests")}
    assert len(pages) > 8
    for page in pages:
        name, _, heading = page.partition("#")
        text = (ROOT / "docs" / f"{name}.md").read_text().lower()
        assert not heading or f"## {heading.replace('-', ' ')}\n" in text, page
