"""The order in time between a prediction and its run is checked by the commit, where there is one."""

import hashlib
import subprocess
from dataclasses import replace

import pytest

from neuron_bench.step_model import HoldOut, write_step_model
from peakday.errors import CommandError
from peakday.plan.prediction import commit_time, predict_run, score
from tests.capacity.models import step_model
from tests.capacity.runs import run

ARRIVALS = "TIMESTAMP,ContextTokens,GeneratedTokens\n" + "".join(f"{i * 0.5},200,{20 + i % 3}\n" for i in range(60))


@pytest.fixture
def predicted(tmp_path, monkeypatch):
    """A folder with an arrivals file and its prediction."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rung.csv").write_text(ARRIVALS)
    model = step_model(
        covariance=tuple(tuple(0.0 for _ in range(5)) for _ in range(5)),
        hold_out=(HoldOut("rung-2", "ttft_s_p50", 0.1, 0.11, 300),),
    )
    write_step_model(model, tmp_path / "m.step-model.json")
    predict_run(tmp_path / "m.step-model.json", tmp_path / "rung.csv", None, seed=1)
    return tmp_path / "rung.prediction.json"


def later_run(folder, started_utc="2080-01-01T00:00:00+00:00"):
    made = run(turns=60, model="custom", supply="self_hosted")
    digest = hashlib.sha256((folder / "rung.csv").read_bytes()).hexdigest()
    return replace(made, info=replace(made.info, started_utc=started_utc, arrivals_sha256=digest))


def commit(folder, when):
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@example.com"]
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
    subprocess.run([*git, "add", "."], cwd=folder, check=True)
    subprocess.run(
        [*git, "commit", "-qm", "predict"],
        cwd=folder,
        check=True,
        env={"GIT_COMMITTER_DATE": when, "PATH": "/usr/bin:/bin"},
    )


def test_a_prediction_is_scored_against_the_run_that_replayed_its_file(predicted):
    committed, outcomes = score(predicted, later_run(predicted.parent), None)
    assert committed is None
    assert {outcome.predicted.metric for outcome in outcomes} >= {"ttft_s_p50", "output_tokens_per_s"}


def test_a_run_of_another_file_is_refused(predicted):
    other = later_run(predicted.parent)
    with pytest.raises(CommandError, match="did not replay"):
        score(predicted, replace(other, info=replace(other.info, arrivals_sha256="0")), None)


def test_the_time_of_the_commit_is_told(predicted):
    commit(predicted.parent, "2026-11-23T10:00:00+00:00")
    assert commit_time(predicted) == "2026-11-23T10:00:00+00:00"


def test_a_commit_after_the_run_is_refused(predicted):
    commit(predicted.parent, "2080-01-01T00:00:01+00:00")
    with pytest.raises(Exception, match=r"as committed.*older than what it predicts"):
        score(predicted, later_run(predicted.parent), None)


def test_a_prediction_changed_after_its_commit_is_refused(predicted):
    commit(predicted.parent, "2026-11-23T10:00:00+00:00")
    predicted.write_text(predicted.read_text().replace('"seed"', '"seed" ') + "\n")
    with pytest.raises(CommandError, match="changed since it was committed"):
        score(predicted, later_run(predicted.parent), None)


def test_a_prediction_is_not_written_over(predicted):
    with pytest.raises(CommandError, match="made once"):
        predict_run(predicted.parent / "m.step-model.json", predicted.parent / "rung.csv", None, seed=1)


def test_a_file_without_lengths_cannot_be_predicted(predicted):
    (predicted.parent / "bare.csv").write_text("TIMESTAMP\n0\n1\n")
    with pytest.raises(CommandError, match="no token counts"):
        predict_run(predicted.parent / "m.step-model.json", predicted.parent / "bare.csv", None, seed=1)
