"""The picture of a preview stands alone, and says what the terminal says."""

import re

import pytest

from dashboards.html.render import render
from peakday.preview_page import preview_page, write_preview
from scenarios.loading import library, load_scenario
from scenarios.preview import preview
from scenarios.preview_text import preview_text


@pytest.mark.parametrize("name", sorted(library()))
def test_the_page_stands_alone(name):
    """Nothing fetched, a table for every picture, no number that is none."""
    view = preview(load_scenario(name))
    own = re.sub(r"<script.*?</script>", "", render(preview_page(view)), flags=re.S)
    assert not re.findall(r'(?:src|href)="(?!#)', own)
    assert not re.search(r">\s*nan\b", own)
    panels = [panel for part in preview_page(view).parts for panel in part.panels]
    assert all(panel.table and panel.table.rows for panel in panels)
    assert len([panel for panel in panels if panel.chart]) == len(view.streams) + 2


def test_words_of_the_author_are_escaped():
    """A description is text, never markup."""
    text = render(preview_page(preview(load_scenario("smoke", ["description='<b>&'"]))))
    assert "&lt;b&gt;&amp;</p>" in text


def test_the_page_and_the_terminal_tell_the_same(tmp_path):
    """Totals and warnings stand in both."""
    view = preview(load_scenario("smoke", ["assistant.max_tokens=null"]))
    page, terminal = write_preview(view, tmp_path / "p.html").read_text(), preview_text(view)
    for text in (page, terminal):
        assert "100 sessions, 120 interactions (100 to 160), 240 turns" in text
        assert "assistant.max_tokens: unset" in text
    assert [path.name for path in tmp_path.iterdir()] == ["p.html"]


def test_the_band_and_every_region_are_drawn():
    """The chart of a stream holds low, high, all, and a line per region."""
    view = preview(load_scenario("prime_day"))
    names = [line["name"] for line in preview_page(view).parts[0].panels[0].chart["data"]]
    assert names == ["low", "high", "all", *view.scenario.event.regions]
