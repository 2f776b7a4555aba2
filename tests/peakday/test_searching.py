"""A ladder of runs: its rates, what is made again, and when it gives up."""

import contextlib
from dataclasses import dataclass
from pathlib import Path

import pytest

from peakday.console import Console
from peakday.errors import CommandError
from peakday.run import series as searching


@dataclass(frozen=True)
class Job:
    rate_per_s: float
    out: Path
    seed: int = 1


@dataclass(frozen=True)
class Made:
    path: Path
    info: dict


@pytest.fixture
def climb(monkeypatch, tmp_path):
    """Climbs three rungs from 1/s to 4/s; `invalid` says which of the jobs made so far the generator vouches for."""
    monkeypatch.chdir(tmp_path)
    jobs = []

    def on(invalid=()):
        @contextlib.contextmanager
        def system(*_):
            yield [], None

        def made(job, _talk):
            jobs.append(job)
            verdict = {"valid": len(jobs) not in invalid, "reasons": ["start lag"]}
            return Made(job.out, {"verdict": verdict})

        monkeypatch.setattr(searching, "_system", system)
        monkeypatch.setattr(searching, "_made", made)
        monkeypatch.setattr(searching, "make_job", lambda _r, options, _t, _s: Job(options.rate_per_s, options.out))
        asked = searching.series("smoke", None, ("1/s", "4/s"), "1s", targets=None, processes=1, seed=None)
        return searching.climb_ladder(asked, 3, Console(quiet=True)), jobs

    return on


def test_rates_rise_in_equal_ratios_and_the_middle_one_judges(climb):
    (text, data), jobs = climb()
    assert [job.rate_per_s for job in jobs] == pytest.approx([1.0, 2.0, 4.0])
    assert [row["held_out"] for row in data["rungs"]] == [False, True, False]
    assert len({job.seed for job in jobs}) == 3
    assert text.splitlines()[-1].startswith("peakday calibrate ")


def test_an_invalid_rung_is_made_once_more_with_another_seed(climb):
    (_, data), jobs = climb(invalid={2})
    assert [job.rate_per_s for job in jobs] == pytest.approx([1.0, 2.0, 2.0, 4.0])
    assert len({job.seed for job in jobs}) == 4
    assert len(data["rungs"]) == 3


def test_a_rung_that_stays_invalid_ends_the_ladder(climb):
    with pytest.raises(CommandError, match="INVALID twice") as caught:
        climb(invalid={2, 3})
    assert caught.value.exit_code == 3


def test_rates_the_wrong_way_round_are_refused_before_a_stack_starts():
    with pytest.raises(CommandError, match="expected 0 < from < to") as refused:
        searching.series("smoke", None, ("4/s", "1/s"), "1s", targets=None, processes=1, seed=None)
    assert refused.value.exit_code == 2
