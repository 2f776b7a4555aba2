"""The headline of a bench, and two benches side by side."""

from __future__ import annotations

from importlib.resources import as_file
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from facts.reader import data_path
from neuron_bench.errors import BenchUsageError
from neuron_bench.importers.files import import_file
from neuron_bench.record import CASES, Bench, CaseRow, load_bench
from neuron_bench.report.compare import compare
from neuron_bench.report.headlines import Headline, case_table, chip_price, headline_table, headlines, meets, step_table
from slo.slo import slos_of


def bench(*rows: dict[str, Any], name: str = "b", host: str = "h") -> Bench:
    base = {
        "provenance": "measured", "device_kind": "neuron", "method": "endpoint", "chip": "trainium2", "model_id": "m",
        "phase": "serve", "chips_used": 2, "flags": "",
    }  # fmt: skip
    frame = pd.DataFrame([{column: (base | row).get(column) for column in CASES} for row in rows])
    return Bench(Path(name), {"host": {"name": host}}, frame)


SLOW = {"record_id": "slow", "output_tokens_per_s": 900.0, "ttft_s_p99": 3.0, "tpot_s_p99": 0.09, "requests_per_s": 4.0}
FAST = {"record_id": "fast", "output_tokens_per_s": 400.0, "ttft_s_p99": 0.5, "tpot_s_p99": 0.03, "requests_per_s": 2.0}


def test_the_headline_is_the_best_rate_that_meets_the_slo() -> None:
    """Per chip; the peak stands beside it with the case it comes from."""
    (row,) = headlines(bench(SLOW, FAST), slos_of({"ttft_s_p99": 1.0, "tpot_s_p99": 0.05}))
    assert row.at_slo
    assert row.peak
    assert (row.at_slo.case, row.at_slo.output_tokens_per_s_per_chip) == ("fast", 200)
    assert (row.peak.case, row.peak.output_tokens_per_s_per_chip) == ("slow", 450)


def test_a_flagged_row_is_counted_and_not_used() -> None:
    """However fast it says it was."""
    (row,) = headlines(bench(FAST, SLOW | {"flags": "above_roofline"}))
    assert (row.cases, row.flagged) == (2, 1)
    assert row.peak
    assert row.peak.case == "fast"


def test_an_unknown_latency_does_not_meet_a_limit() -> None:
    """Unknown is not zero."""
    slos = slos_of({"ttft_s_p99": 9.0})
    assert not meets(CaseRow(**FAST | {"phase": "serve", "ttft_s_p99": None}), slos)
    assert meets(CaseRow(**FAST | {"phase": "serve"}), slos)


def test_the_strictest_known_statistic_is_held_against_the_slo() -> None:
    """A p99 beats a mean; with means only, the row says so."""
    row, slos = CaseRow(**FAST | {"phase": "serve", "tpot_s_mean": 0.01}), slos_of({"tpot_s_p95": 0.02})
    assert not meets(row, slos)
    (line,) = headlines(bench({**FAST, "ttft_s_p99": None, "tpot_s_p99": None, "tpot_s_mean": 0.01}), slos)
    assert line.at_slo
    assert line.at_slo.statistic == "mean"


def test_price_is_on_demand_of_the_cheapest_instance_per_chip() -> None:
    """Reserved rates without a term are never a default."""
    price, text = chip_price("inferentia2")
    assert price
    assert "on demand" in text
    assert chip_price("no such chip") == (None, "no on-demand price in facts")


def test_published_load_curves_have_headlines(tmp_path: Path) -> None:
    """Llama-3.1-8B on Trainium2: 579 tokens/s per chip at its peak; a plan still needs step times."""
    with as_file(data_path("neuron_load_curves.csv")) as path:
        record = load_bench(import_file(path, tmp_path / "bench"))
    rows = {
        (row.model_id, row.chip): row for row in headlines(record, slos_of({"ttft_s_p99": 0.5, "tpot_s_p99": 0.06}))
    }
    row: Headline = rows["meta-llama/Llama-3.1-8B-Instruct", "trainium2"]
    assert row.peak
    assert row.at_slo
    assert row.peak.output_tokens_per_s_per_chip == pytest.approx(578.788)
    assert row.at_slo.output_tokens_per_s_per_chip == pytest.approx(537.134)
    assert row.missing == ("prefill at two lengths or more", "decode at two batch sizes or more")
    assert "537.1 (mean)" in headline_table([row])


def test_a_quick_bench_still_shows_its_times() -> None:
    """Flagged rows are not used by plans; whoever ran them sees them, with what speaks against them."""
    rows = [timed("one", 0.0123, 0.0120, 0.0130, flags="quick;contended", n_samples=30, cv_ratio=0.05)]
    text = case_table(bench(*rows, {"record_id": "one-load", "phase": "load"}))
    assert "12.300" in text
    assert "12.000 to 13.000" in text
    assert "quick;contended" in text
    assert "one-load" not in text


def test_step_times_are_shown_with_every_residual_or_with_the_reason() -> None:
    """Two lengths and two batches give one; one case does not."""
    rows = [timed(f"p{n}", n * 1e-4, 0, 0, phase="prefill", batch=1, input_tokens=n, n_samples=9) for n in (16, 64)]
    rows += [timed(f"d{b}", b * 1e-3, 0, 0, batch=b, n_samples=9) for b in (1, 4)]
    assert step_table(bench(*rows)).count("residual") == 4
    assert "no step times fitted: a step model needs" in step_table(bench(rows[0]))


def timed(name: str, p50: float, low: float, high: float, **more: Any) -> dict[str, Any]:
    row = {"record_id": name, "phase": "decode", "wall_s_p50": p50, "wall_s_p50_lo": low, "wall_s_p50_hi": high}
    return row | {"artifact_key": "k", "bucket_tokens": 64, "input_tokens": 1.0} | more


@pytest.mark.parametrize(
    ("after", "verdict"),
    [
        (timed("c", 1.04, 1.03, 1.05), "same"),  # certain, and too small to matter
        (timed("c", 1.20, 1.15, 1.25), "slower"),
        (timed("c", 0.80, 0.75, 0.85), "faster"),
        (timed("c", 1.20, 0.90, 1.50), "unclear"),  # large, and within the noise
        (timed("c", 1.20, 1.15, 1.25, flags="contended"), "unclear"),
    ],
)
def test_a_change_needs_size_and_certainty(after: dict[str, Any], verdict: str) -> None:
    """More than 5%, intervals apart, and nobody else on the machine."""
    found = compare(bench(timed("c", 1.0, 0.98, 1.02)), bench(after))
    assert [change.verdict for change in found.changes] == [verdict]
    assert found.exact == ()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"artifact_key": "other"}, "c: artifact_key k -> other"),
        ({"bucket_tokens": 128}, "c: bucket_tokens 64 -> 128"),
        ({"work": '{"flops": 2.0}'}, "c: flops 1.0 -> 2.0"),
    ],
)
def test_what_may_not_change_is_named_first(change: dict[str, Any], said: str) -> None:
    """Graphs, buckets, operations: equality, however the times came out."""
    before = timed("c", 1.0, 0.9, 1.1, bucket_tokens=64.0, work='{"flops": 1.0}')
    assert said in compare(bench(before), bench(before | {"bucket_tokens": 64.0} | change)).exact


def test_unlike_benches_are_refused() -> None:
    """Another chip, or another host: the difference would be of those."""
    case = timed("c", 1.0, 0.9, 1.1)
    with pytest.raises(BenchUsageError, match="differ in chip"):
        compare(bench(case), bench(case | {"chip": "inferentia2"}))
    with pytest.raises(BenchUsageError, match="two hosts"):
        compare(bench(case), bench(case, host="other"))


def test_cases_without_a_partner_are_listed() -> None:
    """They are compared with nothing."""
    case = timed("c", 1.0, 0.9, 1.1)
    assert compare(bench(case), bench(case, case | {"record_id": "d"})).only_in == ("d",)


def test_unknown_chips_give_no_rate_per_chip() -> None:
    """400 tokens/s of who knows how many chips: in all, without a price."""
    (row,) = headlines(bench(FAST | {"chips_used": None}))
    assert row.peak
    assert (row.peak.output_tokens_per_s_per_chip, row.peak.usd_per_mtok) == (None, None)
    assert "400.0 in all" in headline_table([row])
    assert "does not say on how many chips" in headline_table([row])


@pytest.mark.parametrize("name", ["third_party_sweeps.csv", "neuron_published_perf.csv"])
def test_an_import_without_intervals_is_reported(name: str, tmp_path: Path) -> None:
    """Published tables have no intervals and no samples: unknown, shown as such."""
    with as_file(data_path(name)) as path:
        record = load_bench(import_file(path, tmp_path / "bench"))
    assert headline_table(headlines(record))
    assert case_table(record)
    assert "no step times fitted" in step_table(record)
