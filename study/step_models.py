"""Step models of accelerators from public load points, for plans that compare chips.

    python -m study step_models [--only NAME]

Each is fitted to all load points of one deployment of facts/data/accelerators. Its hold-out table and its error are
the study's own: that deployment's points predicted across lengths and beyond half of its load (`shape` and `knee` of
`study accelerators`), by fits that had not seen them. The files lie in facts/data/step_models and are `derived`.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from capacity.calibration.aggregates import step_model_of_points
from capacity.calibration.fit import Identity
from capacity.calibration.limits import EngineLimits
from capacity.calibration.search import PACE_SIGMA
from neuron_bench.importers.load_tables import point_rows
from neuron_bench.step_model import HoldOut, StepModel, write_step_model
from study.accelerators import Outcome, deployments, knee, shape

FOLDER = Path("facts/data/step_models")
LLAMA_8B, LLAMA_70B = "meta-llama/Llama-3.1-8B-Instruct", "meta-llama/Llama-3.1-70B"


@dataclass(frozen=True)
class Deployment:
    """Which rows of which file, and the model that they serve under its usual name."""

    name: str
    file: str
    model_id: str
    of: dict[str, str | float]
    chip: str


SHIPPED: tuple[Deployment, ...] = (
    Deployment(
        "llama-3.1-8b-h100", "points_nv_gap_analysis", LLAMA_8B,
        {"model": LLAMA_8B, "chip": "h100_sxm", "engine": "trtllm", "tp": 1}, "h100-80gb sxm",
    ),
    *(
        Deployment(
            f"llama-3.1-70b-{chip.partition('_')[0]}", "points_inferencex", LLAMA_70B,
            {"model": LLAMA_70B, "chip": chip, "engine": "vllm", "tp": 2, "precision": "fp8"}, name,
        )
        for chip, name in (("h100_sxm", "h100-80gb sxm"), ("h200_sxm", "h200-141gb sxm"), ("b200_sxm", "b200 sxm"))
    ),
)  # fmt: skip
"""No 8B on a B200 is published, and those on an H200 are one load for each length pair: a fit of them has first tokens
115% off at what was left out, and steps shorter than reading the weights takes."""


def rows_of(wanted: Deployment) -> pd.DataFrame:
    """Its load points.

    Raises:
        ValueError: none, or points of several deployments.
    """
    parts = [
        part
        for part in deployments(wanted.file)
        if all((part[column] == value).all() for column, value in wanted.of.items())
    ]
    if len(parts) != 1:
        raise ValueError(f"{wanted.name}: {len(parts)} deployments of {wanted.file} fit, expected 1")
    return parts[0]


def fitted(wanted: Deployment) -> StepModel:
    """The step model of all points, with the study's errors."""
    table = rows_of(wanted)
    results = [result for result in (shape(table), knee(table)) if result is not None]
    outcomes = [outcome for result in results for outcome in result.outcomes]
    held_out = [_row(outcome) for outcome in outcomes]
    first = next(table.itertuples())
    identity = Identity(
        wanted.model_id, wanted.chip, int(wanted.of["tp"]), float(wanted.of["tp"]), str(wanted.of["engine"]),
        _stated(table["engine_version"]), _stated(table["measured"]),
    )  # fmt: skip
    cells = [{str(name): cell for name, cell in row.items()} for row in table.fillna("").to_dict("records")]
    rows = [row for row in point_rows(cells) if not row.barred]
    model = step_model_of_points(rows, EngineLimits(), identity, held_out=held_out or None)
    return replace(
        model,
        relative_error=max(math.hypot(_rms(outcomes, "tpot"), PACE_SIGMA), model.relative_error),
        source=f"{first.source_repo} {first.source_path} ({str(first.source_commit)[:8]}), {first.licence}",
        inputs=(f"facts/data/accelerators/{wanted.file}.csv.gz",),
        notes=(*model.notes, *_evidence(table, outcomes)),
    )


def _stated(column: pd.Series[str]) -> str:
    """The latest of what a source states, as it sorts."""
    known = column.dropna().astype(str)
    return str(known.max()) if len(known) else "not stated by the source"


def _row(outcome: Outcome) -> HoldOut:
    return HoldOut(
        f"{outcome.task}: {outcome.case}", f"{outcome.metric.split()[0]}_s", outcome.measured, outcome.predicted, 1
    )


def _rms(outcomes: Iterable[Outcome], metric: str) -> float:
    errors = [math.log1p(outcome.error_ratio) for outcome in outcomes if outcome.metric == metric]
    return math.sqrt(sum(error**2 for error in errors) / len(errors)) if errors else 0.0


def _evidence(table: pd.DataFrame, outcomes: Sequence[Outcome]) -> list[str]:
    """What it rests on, in a reader's words."""
    weights = ", ".join(sorted({str(value) for value in table["precision"].dropna()})) or "BF16 (not stated)"
    pairs = len(table[["isl", "osl"]].drop_duplicates())
    spread = {
        metric: sorted(abs(outcome.error_ratio) for outcome in outcomes if outcome.metric == metric)
        for metric in ("tpot", "ttft")
    }
    errors = ", ".join(f"{name.upper()} {values[len(values) // 2]:.0%}" for name, values in spread.items() if values)
    known = f"median error of points it was not fitted to: {errors} (python -m study accelerators)"
    return [
        f"weights {weights}; {len(table)} public load points of {pairs} length pairs, one run each, none by us",
        known if errors else "its points are too few for the study: two were left out and predicted instead",
    ]


def main(arguments: Sequence[str]) -> None:
    """Write the files."""
    parser = argparse.ArgumentParser(prog="python -m study step_models", description=__doc__)
    parser.add_argument("--only", choices=[each.name for each in SHIPPED])
    chosen = parser.parse_args(arguments)
    FOLDER.mkdir(parents=True, exist_ok=True)
    for each in SHIPPED:
        if chosen.only in (None, each.name):
            model = fitted(each)
            print(write_step_model(model, FOLDER / f"{each.name}.json"), f"relative error {model.relative_error:.0%}")
