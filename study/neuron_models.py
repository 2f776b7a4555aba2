"""Step models from published load tests on Neuron chips: provenance `derived`, wide errors, and the reasons for them.

    python -m study neuron_models

A load test gives means at two or three loads of one length mix, not step times. Four facts tie them to steps:

    one user's TTFT             = s                      s: engine time one prompt takes from everybody
    one user's gap              = a + g                  g = c + d*kv: what one more decoding request adds to a step
    gap at a constant rate      = (a + g*B) / (1 - R*s)  prefills of others stop the stream R*s of the time
    rate at saturation, R_max   : R_max*s + R_max*n*(a/S + g) = 1   the engine is never idle, all S slots decode

R, B: requests per second and decoding requests of one replica; n: tokens of an answer. Source: conservation of engine
time; B by Little's law. Least squares on relative errors gives a, g and s, all >= 0.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from scipy.optimize import least_squares

from facts import reader
from neuron_bench.importers.load_curves import load_curve_rows
from neuron_bench.record import CaseRow
from neuron_bench.step_model import Coefficients, HoldOut, StepModel, write_step_model
from study.step_models import FOLDER, LLAMA_8B

FILE = "neuron_load_curves.csv"

_NAMES = {LLAMA_8B, "meta-llama/Meta-Llama-3.1-8B-Instruct"}  # one model: the hub renamed it

_KV_BYTES_PER_TOKEN = 32 * 2 * 8 * 128 * 2
"""Llama-3.1-8B: layers x (key, value) x KV heads x head size x bytes of bfloat16. Source: its config.json."""

UNSEEN_ERROR_RATIO = 0.20
"""One sigma added for what no row here can show. Basis: twice the usual hold-out error of the three published
deployments (rms 0.03 to 0.15, near 0.1 together: their `hold_out`), because a plan differs from these
tests in length mix, server and SDK at once. A judgement, not a measurement."""

_NOTES = (
    "fitted from published means, never from step times; measure your own model on your own chip before an order",
    "means at two or three loads hide percentiles: a p99 predicted from them has the simulator's queueing only",
    "one length mix (1,500 tokens in, about 235 out): b and the fixed part of a prefill cannot be told apart, e is 0",
    "c and d cannot be told apart; d is the time to read the KV at peak memory bandwidth, the least it can be",
    "time of the API server in front is inside a and b: both overheads are 0",
    "rates come first: b holds all of a prompt's time, so a lone user's TTFT is predicted one `a` too long",
    "KV capacity is max_num_seqs x sequence length: the served configuration's, with contiguous KV, not the memory's",
)
_TRN2_SINCE = (
    "since these tests of 2025-10 AWS published one point of its vLLM Neuron plug-in (SDK 2.32, 2026-08, TP8 on two "
    "chips, two users, 512 in and 128 out: TPOT 10.5 ms, TTFT 51 ms); no newer sweep of one chip was there "
    "to fit on 2026-11-29"
)


@dataclass(frozen=True)
class LoadPoint:
    """One load test of one deployment. Rates are of the whole deployment; latencies are means, in seconds."""

    line: int
    model: str
    instance: str
    chip: str | None
    chips: int | None
    tp: int | None
    replicas: int | None
    max_num_seqs: int | None
    sequence_tokens: int | None
    input_tokens: float
    output_tokens_wanted: float
    mode: str
    requests_per_s: float
    latency_s: float
    ttft_s: float
    itl_s: float
    output_tokens_per_s: float
    date: str
    note: str
    flags: tuple[str, ...] = ()

    @property
    def output_tokens(self) -> float:
        """Mean tokens of an answer: what came out over the requests that finished (answers may stop early)."""
        return self.output_tokens_per_s / self.requests_per_s

    @property
    def rate_per_replica_per_s(self) -> float:
        """Requests one replica finished in a second."""
        return self.requests_per_s / (self.replicas or 1)

    @property
    def decoding(self) -> float:
        """Mean requests decoding in one replica. Source: Little's law over first token to last."""
        return self.rate_per_replica_per_s * (self.latency_s - self.ttft_s)


def points() -> list[LoadPoint]:
    """Every row of the table, with the flags that an import gives it."""
    table = reader.rows(FILE)
    return [
        _point(raw, row, line) for line, (raw, row) in enumerate(zip(table, load_curve_rows(table), strict=True), 2)
    ]


def _point(raw: Mapping[str, str], row: CaseRow, line: int) -> LoadPoint:
    return LoadPoint(
        line=line,
        model=raw["model"],
        instance=row.instance_type or "",
        chip=row.chip,
        chips=None if row.chips_used is None else int(row.chips_used),
        tp=row.tp,
        replicas=row.replicas,
        max_num_seqs=row.batch,
        sequence_tokens=row.bucket_tokens,
        input_tokens=float(raw["prompt_tokens_mean"]),
        output_tokens_wanted=float(raw["output_tokens_mean"]),
        mode=(row.label or "").partition("; ")[0],
        requests_per_s=float(raw["requests_per_s"]),
        latency_s=float(raw["request_latency_mean_s"]),
        ttft_s=float(raw["ttft_mean_ms"]) / 1e3,
        itl_s=float(raw["inter_token_latency_mean_ms"]) / 1e3,
        output_tokens_per_s=float(raw["output_tokens_per_s"]),
        date=raw["run_date"],
        note=raw["config_note"],
        flags=tuple(sorted(row.flag_names)),
    )


@dataclass(frozen=True)
class StepTimes:
    """What a deployment's load tests say of its steps, in seconds: see the module's formulae."""

    a: float
    g: float
    s: float

    def gap_s(self, rate_per_s: float, decoding: float) -> float:
        """Mean gap between tokens at a rate, with that many requests decoding."""
        return (self.a + self.g * decoding) / (1 - rate_per_s * self.s)

    def rate_max_per_s(self, slots: float, output_tokens: float) -> float:
        """Requests one replica finishes per second when all its slots are busy."""
        return 1 / (self.s + output_tokens * (self.a / slots + self.g))


@dataclass(frozen=True)
class _Figure:
    """One published figure and how a fit predicts it."""

    case: str
    metric: str
    value: float
    point: LoadPoint

    def predicted(self, fit: StepTimes) -> float:
        point = self.point
        if self.metric == "ttft_s_mean":
            return fit.s
        if self.metric == "requests_per_s":
            return fit.rate_max_per_s(point.max_num_seqs or 1, point.output_tokens)
        one_user = point.mode == "one_user"
        rate, decoding = (0.0, 1.0) if one_user else (point.rate_per_replica_per_s, point.decoding)
        return fit.gap_s(rate, decoding)


def of_neuron_chips() -> dict[tuple[str, str], StepModel]:
    """Llama-3.1-8B on the three chips that have load tests of it in facts."""
    table = [point for point in points() if point.model in _NAMES]
    chips = sorted({point.chip for point in table if point.chip})
    return {(LLAMA_8B, chip): _step_model(chip, [p for p in table if p.chip == chip]) for chip in chips}


def _step_model(chip: str, table: Sequence[LoadPoint]) -> StepModel:
    used = [p for p in table if "host_sampling" not in p.flags and "chunked prefill" not in p.note]
    figures = _figures(used)
    fit = _fit(figures)
    tests = _held_out(figures) + [_row(f, fit) for f in _figures([p for p in table if _other_scheduler(p)])]
    misfit = _rms([_row(figure, fit).error_ratio for figure in figures])
    sample = used[0]
    replica = _chips_per_replica(sample)
    kv = sample.input_tokens + sample.output_tokens_wanted / 2
    d = min(fit.g / kv, _KV_BYTES_PER_TOKEN / _memory_bytes_per_s(chip, replica))
    return StepModel(
        model_id=LLAMA_8B,
        chip=chip,
        tp=sample.tp or 1,
        chips_per_replica=replica,
        buckets=(Coefficients(a=fit.a, b=fit.s / sample.input_tokens, e=0.0, c=fit.g - d * kv, d=d),),
        max_num_seqs=sample.max_num_seqs or 1,
        max_batched_tokens=sample.sequence_tokens or 1,
        block_tokens=sample.sequence_tokens or 1,
        kv_blocks=sample.max_num_seqs or 1,
        ttft_overhead_s=0.0,
        gap_overhead_s=0.0,
        provenance="derived",
        relative_error=math.hypot(misfit, _rms([row.error_ratio for row in tests]), UNSEEN_ERROR_RATIO),
        engine="vllm (optimum-neuron)",
        version="not stated by the source",
        date=max(p.date for p in used),
        source=f"facts/data/{FILE} lines {', '.join(str(p.line) for p in used)}",
        instance_type=sample.instance if sample.instance in reader.instances() else None,
        validity=_validity(used),
        hold_out=tuple(tests),
        inputs=(f"facts/data/{FILE}",),
        notes=(*_NOTES, *_left_out(table, used), *([_TRN2_SINCE] if chip == "trainium2" else [])),
    )


def _figures(table: Sequence[LoadPoint]) -> list[_Figure]:
    """The figures of these rows that the formulae speak of; a flagged TTFT is left out."""
    figures = []
    for point in table:
        case = f"line {point.line}: {point.mode}"
        if point.mode == "one_user" and "ttft_above_loaded" not in point.flags:
            figures.append(_Figure(case, "ttft_s_mean", point.ttft_s, point))
        if point.mode == "saturation":
            figures.append(_Figure(case, "requests_per_s", point.rate_per_replica_per_s, point))
        else:
            figures.append(_Figure(case, "tpot_s_mean", point.itl_s, point))
    return figures


def _fit(figures: Sequence[_Figure]) -> StepTimes:
    def errors(x: Sequence[float]) -> list[float]:
        fit = StepTimes(*x)
        return [figure.predicted(fit) / figure.value - 1 for figure in figures]

    # Prompts cannot take more than all the time: s stays below 1 / the highest rate seen.
    s_max = 0.99 / max(figure.point.rate_per_replica_per_s for figure in figures)
    solved = least_squares(
        errors, x0=(0.02, 2e-4, s_max / 2), bounds=([0, 0, 0], [1, 1, s_max]), x_scale=(0.01, 1e-4, 0.1)
    )
    return StepTimes(*(float(value) for value in solved.x))


def _held_out(figures: Sequence[_Figure]) -> list[HoldOut]:
    """Each loaded mode predicted by a fit that never saw it, where enough is left to fit."""
    rows = []
    for mode in ("constant_rate", "saturation"):
        rest = [f for f in figures if f.point.mode != mode]
        if any(f.point.mode != "one_user" for f in rest):
            fit = _fit(rest)
            rows += [_row(f, fit) for f in figures if f.point.mode == mode]
    return rows


def _row(figure: _Figure, fit: StepTimes) -> HoldOut:
    return HoldOut(figure.case, figure.metric, measured=figure.value, predicted=figure.predicted(fit), n=1)


def _other_scheduler(point: LoadPoint) -> bool:
    """Chunked prefill with sampling on the device: never fitted, so a test of the fit."""
    return "chunked prefill" in point.note and "host_sampling" not in point.flags


def _chips_per_replica(point: LoadPoint) -> float:
    """A replica is tp logical cores; a chip has as many as its default groups. Checked against the row's chip count."""
    cores = reader.chips()[point.chip or ""].logical_neuroncores_default or 1
    return (point.tp or 1) / cores


def _memory_bytes_per_s(chip: str, chips: float) -> float:
    return (reader.chips()[chip].memory_gb_per_s or math.inf) * 1e9 * chips


def _validity(used: Sequence[LoadPoint]) -> dict[str, tuple[float, float]]:
    """What the tests covered, per replica. Context runs from the prompt's end to the answer's."""
    first = used[0]
    decoding = [1.0 if p.mode == "one_user" else p.decoding for p in used]
    kv = first.input_tokens + first.output_tokens_wanted
    return {
        "input_tokens": (first.input_tokens, first.input_tokens),
        "output_tokens": (min(p.output_tokens for p in used), max(p.output_tokens for p in used)),
        "context_tokens": (first.input_tokens, kv),
        "decoding": (min(decoding), max(decoding)),
        "kv_tokens": (first.input_tokens * min(decoding), kv * max(decoding)),
        "requests_per_s": (0.0, max(p.rate_per_replica_per_s for p in used)),
    }


def _left_out(table: Sequence[LoadPoint], used: Sequence[LoadPoint]) -> list[str]:
    """Rows of this chip that the fit does not use, and why."""
    notes = []
    slow = [p.line for p in table if "host_sampling" in p.flags]
    other = [p.line for p in table if _other_scheduler(p)]
    warm = [p.line for p in used if "ttft_above_loaded" in p.flags]
    if slow:
        notes.append(f"lines {slow} not used: same deployment with sampling on the host CPU, half the rate")
    if other:
        notes.append(f"lines {other} not fitted but predicted: the same deployment with chunked prefill")
    if warm:
        notes.append(f"TTFT of lines {warm} not used: a lone user waits longer than users under load (warm-up)")
    if len({p.date for p in used}) > 1:
        notes.append(f"pools deployments of different dates: {', '.join(sorted({p.date for p in used}))}")
    return notes


def _rms(values: Sequence[float]) -> float:
    return math.sqrt(sum(v * v for v in values) / len(values)) if values else 0.0


def main(arguments: Sequence[str]) -> None:
    """Write the files."""
    argparse.ArgumentParser(prog="python -m study neuron_models", description=__doc__).parse_args(arguments)
    for (_, chip), model in of_neuron_chips().items():
        print(write_step_model(model, FOLDER / f"llama-3.1-8b-{chip}.json"), f"error {model.relative_error:.0%}")
