"""A prediction of one run from a step model, written before the run; and the run's figures beside it afterwards."""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from capacity.calibration.backtest import coverage_interval
from capacity.calibration.observed import observed_calls
from capacity.calibration.prediction import (
    Outcome,
    Prediction,
    extrapolations,
    predict_figures,
    read_prediction,
    refuse_hindsight,
    score_prediction,
    write_prediction,
)
from capacity.simulator.requests import requests
from host.environment import git
from loadgen.record import Run, load_run
from neuron_bench.step_model import read_step_model
from peakday.errors import CommandError
from peakday.records.folders import find_record
from scenarios.arrivals import read_replay

SUFFIX = ".prediction.json"


def predict_run(step_model: Path, arrivals: Path, out: Path | None, *, seed: int) -> tuple[str, dict[str, object]]:
    """Simulate the replay of an arrivals file on one replica, and write what it should measure.

    Raises:
        CommandError: the prediction is there already, or the file has no lengths.
        PlanError: the step model cannot say how far off it may be.
    """
    path = out or Path(arrivals.name.partition(".")[0] + SUFFIX)
    if path.exists():
        raise CommandError(f"{path}: is there already; a prediction is made once, choose another --out")
    model, replay = read_step_model(step_model), read_replay(arrivals)
    if replay.input_tokens is None or replay.output_tokens is None:
        raise CommandError(f"{arrivals}: no token counts; columns ContextTokens and GeneratedTokens give them")
    work = requests(replay.offset_s, replay.input_tokens, replay.output_tokens)
    prediction = Prediction(
        name=path.name.removesuffix(SUFFIX),
        created_utc=datetime.now(UTC).isoformat(timespec="seconds"),
        step_model=step_model.name,
        step_model_sha256=_sha256(step_model),
        arrivals=arrivals.name,
        arrivals_sha256=_sha256(arrivals),
        calls=len(work),
        rate_per_s=(len(work) - 1) / float(work.arrival_s[-1] - work.arrival_s[0]) if len(work) > 1 else 0.0,
        figures=predict_figures(work, model, seed=seed),
        warnings=extrapolations(work, model),
    )
    write_prediction(prediction, path)
    lines = [
        f"{figure.metric:<22} {figure.value:>10.4g}  ({figure.low:.4g} to {figure.high:.4g})"
        for figure in prediction.figures
    ]
    head = f"{len(work):,} calls at {prediction.rate_per_s:.3g}/s on one replica of {model.model_id}, {model.chip}"
    lines += [f"WARNING {warning}" for warning in prediction.warnings]
    return "\n".join([head, *lines, f"\n{path}; commit it before the run"]), asdict(prediction)


def score_run(path: Path, run_name: str, model: str | None) -> tuple[str, dict[str, object]]:
    """A run's figures beside what was predicted for it, as text and data; see `score`."""
    run = load_run(find_record("runs", run_name))
    committed_utc, outcomes = score(path, run, model)
    inside = sum(outcome.inside for outcome in outcomes)
    started = run.info.started_utc or ""
    when = (
        f"committed {committed_utc}"
        if committed_utc
        else "never committed, so only its own clock says that it is older"
    )
    lines = [_line(outcome) for outcome in outcomes]
    text = "\n".join([f"{when}; run started {started}", *lines, str(coverage_interval(inside, len(outcomes)))])
    rows = [
        {**asdict(o.predicted), "measured": o.measured, "error_ratio": o.error_ratio, "inside": o.inside}
        for o in outcomes
    ]
    return text, {"committed_utc": committed_utc, "inside": inside, "of": len(outcomes), "outcomes": rows}


def score(path: Path, run: Run, model: str | None) -> tuple[str | None, tuple[Outcome, ...]]:
    """When the prediction was committed, if ever, and its figures beside the run's, the worst first.

    Args:
        model: whose calls are judged; None when the run has calls of one model only.

    Raises:
        CommandError: the run replayed another file, or the prediction was changed since its commit.
        PlanError: the prediction is not older than the run.
    """
    prediction, started = read_prediction(path), run.info.started_utc or ""
    if run.info.arrivals_sha256 != prediction.arrivals_sha256:
        raise CommandError(f"{run.run_id}: did not replay {prediction.arrivals}, which {path} is about")
    refuse_hindsight(prediction.created_utc, started, str(path))
    committed_utc = commit_time(path)
    if committed_utc is not None:
        refuse_hindsight(committed_utc, started, f"{path} as committed")
    return committed_utc, score_prediction(prediction, observed_calls(run, model or _only_model(run)))


def commit_time(path: Path) -> str | None:
    """When the file's last change was committed, in UTC; None where it was never committed.

    Raises:
        CommandError: it was changed since.
    """

    seconds = git("log", "-1", "--format=%ct", "--", path.name, folder=path.parent)
    changed = git("status", "--porcelain", "--", path.name, folder=path.parent)
    if not seconds:
        return None
    if changed:
        raise CommandError(f"{path}: changed since it was committed; score the committed one")
    return datetime.fromtimestamp(int(seconds), UTC).isoformat()


def _line(outcome: Outcome) -> str:
    predicted, verdict = outcome.predicted, "" if outcome.inside else "  OUTSIDE its range"
    return (
        f"{predicted.metric:<20} predicted {predicted.value:>9.4g} ({predicted.low:.4g} to {predicted.high:.4g})  "
        f"measured {outcome.measured:>9.4g}  {outcome.error_ratio:+.1%}{verdict}"
    )


def _only_model(run: Run) -> str:
    models = sorted(run.calls["model"].dropna().unique())
    if len(models) != 1:
        raise CommandError(f"{run.run_id}: calls of {', '.join(models) or 'no model'}; name one with --model")
    return str(models[0])


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
