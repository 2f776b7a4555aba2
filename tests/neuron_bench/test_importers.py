"""Files of others become records: whole, checked, with their provenance."""

from __future__ import annotations

from importlib.resources import as_file
from pathlib import Path

import pytest

from facts.reader import data_path
from neuron_bench.errors import BenchUsageError
from neuron_bench.importers import import_file
from neuron_bench.record import Bench, load_bench


def imported(name: str, tmp_path: Path) -> Bench:
    with as_file(data_path(name)) as path:
        return load_bench(import_file(path, tmp_path / "bench"))


def test_load_curves_import_whole(tmp_path: Path) -> None:
    """Every row of the table is in the record, as published, with seconds inside."""
    bench = imported("neuron_load_curves.csv", tmp_path)
    assert len(bench.cases) == 50
    assert set(bench.cases.provenance) == {"published"}
    row = bench.cases.iloc[0]
    assert (row.chip, row.tp, row.ttft_s_mean, row.chips_used) == ("trainium2", 4, 0.19725, 1)


def test_unknown_is_null_never_zero(tmp_path: Path) -> None:
    """A load curve prints means: its quantiles are null; and a row without a configuration has no chip."""
    cases = imported("neuron_load_curves.csv", tmp_path).cases
    assert cases.ttft_s_p50.isna().all()
    assert cases[cases["flags"].str.contains("configuration_unknown")].chip.isna().all()


def test_flags_are_counted(tmp_path: Path) -> None:
    """Four host-sampling rows, six without configuration and the warm-up TTFTs are flagged, in the record too."""
    bench = imported("neuron_load_curves.csv", tmp_path)
    flags = bench.cases["flags"]
    assert flags.str.contains("host_sampling").sum() == 4
    assert flags.str.contains("configuration_unknown").sum() == 6
    assert bench.info["flagged"] == (flags != "").sum()


@pytest.mark.parametrize("content", ["", "a,b\n1,2\n"])
def test_an_unknown_file_is_refused_in_one_line(content: str, tmp_path: Path) -> None:
    """It says what is known, and writes nothing."""
    path = tmp_path / "x.csv"
    path.write_text(content)
    with pytest.raises(BenchUsageError, match="not a format we import; known: "):
        import_file(path, tmp_path / "bench")
    assert not (tmp_path / "bench").exists()
