"""Files of load points that others published, fitted up to half of their largest load; the rest is predicted.

    python -m study public_points

The files and their sources are in tests/neuron_bench/data/public. What a file does not state of its deployment stands
in `DEPLOYMENTS`, from the same source. `!` is outside its 90% range.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from capacity.calibration.aggregates import base_of, known_of, point_of
from capacity.calibration.clients import LoadPoint
from capacity.calibration.fit import Identity
from capacity.calibration.limits import CalibrationError, EngineLimits
from capacity.calibration.points import PointFit, fit_points
from capacity.simulator.requests import ServiceError
from neuron_bench.importers.files import Known, import_file
from neuron_bench.record import CaseRow, load_bench

FOLDER = Path("tests/neuron_bench/data/public")
Z_90 = 1.645


@dataclass(frozen=True)
class Deployment:
    """What is served on what; `chip` where the file names none and facts know it."""

    model_id: str
    chips: int
    engine: str
    dtypes: str
    chip: str | None = None


LLAMA_8B = "meta-llama/Llama-3.1-8B-Instruct"
DEPLOYMENTS = {
    "dstack-mi300x-vllm.csv": Deployment("deepseek-ai/DeepSeek-R1", 8, "vllm", "fp8"),
    "dstack-mi300x-sglang.csv": Deployment("deepseek-ai/DeepSeek-R1", 8, "sglang", "fp8"),
    "dstack-h200-trtllm.csv": Deployment("deepseek-ai/DeepSeek-R1", 8, "trtllm", "fp8"),
    "nim-h100-70b.csv": Deployment("meta-llama/Llama-3.3-70B-Instruct", 2, "trtllm", "fp8", "h100-80gb sxm"),
    "vultr-b200-nemotron-nano.csv": Deployment("nvidia/Nemotron-Nano-30B", 2, "vllm", "fp8", "b200 sxm"),
    "sequrity-a6000-8b.json": Deployment(LLAMA_8B, 1, "vllm", "bf16"),
    "iog-4090-qwen-7b.json": Deployment("deepseek-ai/DeepSeek-R1-Distill-Qwen-7B", 1, "vllm", "bf16"),
    "tt-llama-8b-qb2.md": Deployment(LLAMA_8B, 4, "vllm", "bf16"),
    "tt-qwen3-8b-n300.md": Deployment("Qwen/Qwen3-8B", 1, "vllm", "bf16"),
    "fmbench-trn1-8b.csv": Deployment(LLAMA_8B, 1, "triton", "bf16"),
    "rtx4090-mistral-7b.csv": Deployment("mistralai/Mistral-7B-v0.1", 1, "vllm", "bf16", "rtx 4090"),
}


def rows_of(file: Path, of: Deployment) -> list[CaseRow]:
    """The file's rows that carry no flag, with what it does not state itself."""
    with tempfile.TemporaryDirectory() as folder:
        rows = load_bench(import_file(file, Path(folder) / "bench", Known())).rows
    named = [
        replace(
            row, model_id=of.model_id, chip=row.chip or of.chip, chips_used=float(of.chips), tp=of.chips,
            dtypes=of.dtypes, versions=f'{{"engine": "{of.engine}"}}',
            flags=(row.flags or "").replace("model_or_chip_not_stated", ""),
        )
        for row in rows
    ]  # fmt: skip
    return [row for row in named if not row.barred]


def line(name: str, of: Deployment) -> list[str]:
    """Table rows of one file: a figure that was predicted each, or why there is none."""
    rows = rows_of(FOLDER / name, of)
    if not rows:
        return [f"| {name} | every row is flagged | | |"]
    points = [point_of(row, 1) for row in rows]
    light = max(map(load, points)) / 2
    fitted = [point for point in points if load(point) <= light]
    identity = Identity(of.model_id, rows[0].chip or "unknown", of.chips, float(of.chips), of.engine, "", "")
    try:
        fit = fit_points(fitted, base_of(EngineLimits(), identity), known_of(rows[0], EngineLimits()))
        return [predicted(name, len(fitted), point, fit) for point in points if point not in fitted]
    except (CalibrationError, ServiceError) as error:
        return [f"| {name} | refused: {error} | | |"]


def load(point: LoadPoint) -> float:
    """Arrivals a second of an open loop, clients of a closed one."""
    return point.rate_per_s or float(point.concurrency)


def predicted(name: str, n: int, point: LoadPoint, fit: PointFit) -> str:
    """One point: TPOT and TTFT, predicted over measured less 1."""
    report = fit.report(point)
    tpot = error_text(report.tpot_s, point.tpot_s, fit.tpot_sigma_of(point))
    ttft = error_text(report.ttft_s, point.ttft_s, fit.ttft_sigma(point) if point.ttft_s else 0.0)
    return f"| {name} | {n} fitted; {point.case} | {tpot} | {ttft} |"


def error_text(value: float | None, measured: float | None, sigma: float) -> str:
    """`+2.0%`, with `!` outside the 90% range; a dash where one is not stated."""
    if not value or not measured:
        return "-"
    inside = abs(np.log(value / measured)) <= Z_90 * sigma
    return f"{value / measured - 1:+.1%}{'' if inside else ' !'}"


def main(arguments: Sequence[str]) -> None:
    """Print the table."""
    argparse.ArgumentParser(prog="python -m study public_points", description=main.__doc__).parse_args(arguments)
    print("| file | load | TPOT | TTFT |\n|---|---|---|---|")
    for name, of in DEPLOYMENTS.items():
        print("\n".join(line(name, of)), flush=True)
