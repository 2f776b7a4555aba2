"""A rate sweep: its rates, what is run again, and when it gives up; and what a search for the max rate says."""

import contextlib
from dataclasses import dataclass
from pathlib import Path

import pytest

from host.errors import Exit
from loadgen.analysis.series import MaxRate, Trial
from loadgen.job import TargetSpec
from peakday.console import Console
from peakday.errors import CommandError
from peakday.run import series as runs
from peakday.run.load import Driven


@dataclass(frozen=True)
class Info:
    valid: bool
    reasons: tuple[str, ...] = ("start lag",)


@dataclass(frozen=True)
class Record:
    path: Path
    info: Info


@pytest.fixture
def sweep(monkeypatch, tmp_path):
    """Sweeps three steps from 1/s to 4/s; `invalid` says which of the jobs so far have an invalid generator."""
    monkeypatch.chdir(tmp_path)
    jobs = []

    def on(invalid=()):
        @contextlib.contextmanager
        def system(*_):
            yield Driven((TargetSpec("assistant", "http://127.0.0.1:9"),))

        def record_of(job, _driven, _console):
            jobs.append(job)
            return Record(job.folder, Info(len(jobs) not in invalid))

        monkeypatch.setattr(runs, "_system", system)
        monkeypatch.setattr(runs, "_record_of", record_of)
        series = runs.series("smoke", None, ("1/s", "4/s"), "1s", targets=None, processes=1, seed=None)
        return runs.run_sweep(series, 3, Console(quiet=True)), jobs

    return on


def test_rates_rise_in_equal_ratios_and_the_middle_one_tests_the_fit(sweep):
    (text, data), jobs = sweep()
    assert [job.rate_per_s for job in jobs] == pytest.approx([1.0, 2.0, 4.0])
    assert [row["held_out"] for row in data["steps"]] == [False, True, False]
    assert len({job.seed for job in jobs}) == 3
    assert {row["for_s"] for row in data["steps"]} == {1.0}
    assert text.splitlines()[-1].startswith("peakday calibrate ")


def test_an_invalid_step_is_run_once_more_with_another_seed(sweep):
    (_, data), jobs = sweep(invalid={2})
    assert [job.rate_per_s for job in jobs] == pytest.approx([1.0, 2.0, 2.0, 4.0])
    assert len({job.seed for job in jobs}) == 4
    assert len(data["steps"]) == 3


def test_a_step_that_stays_invalid_ends_the_sweep(sweep):
    with pytest.raises(CommandError, match="INVALID twice") as caught:
        sweep(invalid={2, 3})
    assert caught.value.exit_code == 3


@pytest.mark.parametrize(
    ("answer", "line", "code"),
    [
        (MaxRate(12.1, 13.0, (), True, ()), "max rate 12.1/s (SLO missed at 13/s)", Exit.OK),
        (MaxRate(16.0, None, (), True, ()), "max rate 16/s (no rate tried misses an SLO; raise --to)", Exit.OK),
        (MaxRate(None, 1.0, (), True, ()), "no max rate: SLO missed at 1/s already; lower --from", Exit.OK),
        (
            MaxRate(None, 1.0, (), True, (Trial(1.0, "missed", "all failed", 1, failed_ratio=0.9),)),
            "no max rate: most turns failed at the lowest rate, and no lower one may help; `peakday ask` shows why",
            Exit.OK,
        ),
        (MaxRate(None, None, (1.0,), True, ()), "no max rate: undecided", Exit.INCONCLUSIVE),
        (MaxRate(4.0, 8.0, (6.0,), True, ()), "max rate 4/s (SLO missed at 8/s)", Exit.INCONCLUSIVE),
        (MaxRate(9.0, 8.0, (), False, ()), "max rate 9/s (SLO missed at 8/s)", Exit.INCONCLUSIVE),
    ],
)
def test_the_answer_is_one_line_and_an_undecided_one_exits_4(answer, line, code):
    assert line in runs.max_rate_text(answer).splitlines()
    assert runs.settled(answer) == (code == Exit.OK)


def test_rates_the_wrong_way_round_are_refused_before_a_stack_starts():
    with pytest.raises(CommandError, match="expected 0 < from < to") as refused:
        runs.series("smoke", None, ("4/s", "1/s"), "1s", targets=None, processes=1, seed=None)
    assert refused.value.exit_code == 2
