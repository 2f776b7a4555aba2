"""The page of a backtest says what the terminal says, the figures outside their range on top."""

from peakday.plan.backtest import backtest_page, scored_of, write_backtest

PREDICTED = {"mid": 100.0, "low": 80.0, "high": 120.0}
DATA = {
    "scores": [
        {"name": "nova-pro: prompt tokens per call", "unit": "tokens", "measured": 150.0, "predicted": PREDICTED},
        {"name": "nova-pro: answer tokens per call", "unit": "tokens", "measured": 90.0, "predicted": PREDICTED},
    ],
    "outcomes": [{"metric": "ttft_s_p95", "value": 1.0, "low": 0.8, "high": 1.2, "measured": 1.1, "inside": True}],
}


def test_a_figure_outside_its_range_is_on_top_and_every_range_is_over_what_was_measured():
    page = backtest_page("Backtest", "2 of 3 inside", scored_of(DATA))
    (banner,) = page.banners
    assert (banner.word, banner.reasons) == ("1 OUTSIDE", ["nova-pro: prompt tokens per call"])
    table = page.parts[0].panels[0].table
    assert [row[5:] for row in table.rows] == [["-33.3%", "OUTSIDE"], ["+11.1%", "inside"], ["-9.1%", "inside"]]


def test_the_page_is_one_file_without_a_request(tmp_path):
    path = write_backtest("Backtest of <b>", "first\n2 of 3 inside", DATA, tmp_path / "page.html")
    text = path.read_text()
    assert "2 of 3 inside" in text
    assert "<b>" not in text
