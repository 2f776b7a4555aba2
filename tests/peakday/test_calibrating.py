"""`calibrate`: chips are never taken silently, and aggregates are fitted as well as runs."""

import json

import pytest

from capacity.calibration.clients import LoadPoint, report
from peakday.cli import main
from peakday.errors import CommandError
from peakday.plan.step_models import EngineFacts, _identity, _place
from tests.capacity.models import step_model

TRUE = step_model(a=0.008, b=4e-5, c=2e-4, d=2e-8, max_num_seqs=256, max_batched_tokens=8192, ttft_overhead_s=0.01)


def facts(**changed):
    known = {"model": "m", "chip": None, "tp": None, "chips_per_replica": None, "engine": None, "version": "1"}
    limits = dict.fromkeys(("max_num_seqs", "max_batched_tokens", "kv_blocks")) | {"block_tokens": 16}
    return EngineFacts(**known | limits | changed)


def test_runs_on_a_chip_ask_how_many_serve_a_replica():
    """One chip is never taken for an answer; the message names the option and what the degree says."""
    with pytest.raises(CommandError, match=r"--chips-per-replica \(tp 8 is 2 of a trainium2"):
        _identity(facts(tp=8), _place("trn2"), None)
    assert _identity(facts(tp=8, chips_per_replica=2.0), _place("trn2"), None).chips_per_replica == 2.0


@pytest.mark.parametrize(("chip", "place"), [(None, "unknown"), ("CPU", "cpu")])
def test_what_no_plan_sizes_needs_no_chips(chip, place):
    assert _identity(facts(), _place(chip), None).chip == place


def test_a_table_of_load_points_goes_from_import_to_step_model(tmp_path, monkeypatch, capsys):
    """As a user types it: two commands, and the flagged row is said and not fitted."""
    monkeypatch.chdir(tmp_path)
    lines = ["model,chip,n_chips,tp,isl,osl,concurrency,mean_ttft_ms,mean_tpot_ms"]
    for clients in (1, 4, 16):
        told = report(LoadPoint("", clients, 1000, 200, None, None), TRUE)
        lines.append(f"m,h100,2,2,1000,200,{clients},{told.ttft_s * 1e3:.2f},{told.tpot_s * 1e3:.3f}")
    (tmp_path / "points.csv").write_text("\n".join([*lines, "m,h100,2,2,1000,200,32,90000,9000"]))
    for command in ("bench import points.csv --out b", "calibrate b --model m --out m.json"):
        with pytest.raises(SystemExit) as ended:
            main(command.split())
        assert ended.value.code == 0
    model = json.loads((tmp_path / "m.json").read_text())
    assert (model["chip"], model["chips_per_replica"], model["tp"]) == ("h100-80gb sxm", 2.0, 2)
    assert "1 of 4 rows of the bench are flagged: not fitted" in capsys.readouterr().out
