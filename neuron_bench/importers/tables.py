"""Tables of published figures as rows: AWS's performance pages, and sweeps of third parties."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from facts.reader import instances, number
from neuron_bench import checks
from neuron_bench.device.chips import chip_name, device_of
from neuron_bench.record import CaseRow

_PHASES = {"llm_decoder": "serve", "encoder_decoder": "serve", "encoder": "encode", "vision": "encode"}


def seconds(cell: str | None) -> float | None:
    """A cell in milliseconds, as seconds."""
    value = number(cell)
    return None if value is None else value / 1e3


def whole(cell: str | None) -> int | None:
    """A cell as a whole number; blank is None."""
    value = number(cell)
    return None if value is None else int(value)


def usd_per_million(per_s: float, usd_per_hour: float) -> float:
    """USD for a million tokens (or inferences) at a rate. Source: the formula of AWS's performance pages."""
    return 1e6 / per_s * usd_per_hour / 3600


def aws_perf_rows(table: Sequence[Mapping[str, str]]) -> list[CaseRow]:
    """neuron_published_perf.csv: every row, with its flags. `history` = no longer in the current pages."""
    return [_aws_perf(row, line) for line, row in enumerate(table, start=2)]


def _aws_perf(row: Mapping[str, str], line: int) -> CaseRow:
    llm = row["throughput_unit"] != "inferences/s"
    rate, ttft, tpot = number(row["throughput"]), seconds(row["ttft_p50_ms"]), _tpot(row)
    in_tokens, out_tokens = number(row["input_length"]), number(row["output_length"])
    if row["throughput_unit"] == "tokens/s (input+output)" and rate and in_tokens and out_tokens:
        rate *= out_tokens / (in_tokens + out_tokens)
    chips = whole(row["chips"])
    return CaseRow(
        record_id=f"line-{line}",
        source_url=f"{row['source_repo']} {row['source_file']}",
        created_utc=row["last_published"],
        label="; ".join(part for part in (row["task"], row["run_mode"], row["optimized_for"], row["note"]) if part),
        device_kind="neuron",
        method="endpoint" if "vLLM" in row["framework"] else "trace",
        chip=chip_name(row["instance"]),
        instance_type=row["instance"],
        chips_used=chips,
        versions=json.dumps({"framework": row["framework"], "neuron_sdk": row["neuron_sdk_version"] or None}),
        model_id=row["model"],
        dtypes=" ".join(part for part in (row["model_dtype"], row["autocast_dtype"], row["weight_dtype"]) if part),
        weights_random=False,
        tp=whole(row["tp_degree"]),
        replicas=whole(row["dp_degree"]),
        phase=_PHASES.get(row["category"], "serve" if llm and rate else "encode"),
        batch=whole(row["batch_size"]),
        input_tokens=in_tokens if in_tokens is not None or llm else number(row["sequence_length"]),
        output_tokens=out_tokens,
        bucket_tokens=whole(row["sequence_length"]),
        wall_s_p50=seconds(row["latency_p50_ms"]),
        wall_s_p99=seconds(row["latency_p99_ms"]),
        ttft_s_p50=ttft,
        ttft_s_p99=seconds(row["ttft_p99_ms"]),
        tpot_s_p50=tpot,
        tpot_s_p99=seconds(row["tpot_p99_ms"] or row["latency_per_token_p99_ms"]),
        requests_per_s=None if llm else rate,
        output_tokens_per_s=rate if llm else None,
        flags=_aws_flags(row, rate, ttft, tpot, out_tokens),
    )


def _tpot(row: Mapping[str, str]) -> float | None:
    """Per output token. Encoder-decoder rows print a latency per token of either side, which is no TPOT."""
    if row["throughput_unit"] == "tokens/s (input+output)":
        return None
    return seconds(row["tpot_p50_ms"] or row["latency_per_token_p50_ms"])


def _aws_flags(
    row: Mapping[str, str], rate: float | None, ttft: float | None, tpot: float | None, out_tokens: float | None
) -> str:
    batch, latency = number(row["batch_size"]), seconds(row["latency_p50_ms"])
    cores = checks.cores_of(row["instance"], number(row["chips"]))
    in_flight = rate * latency / batch if rate and latency and batch and row["throughput_unit"][0] == "i" else None
    derived = None
    if rate and batch and tpot and ttft is not None and out_tokens:
        derived = checks.answer_rate(batch, out_tokens, ttft, tpot)
    pairs = ("ttft", "tpot", "latency_per_token", "latency")
    return checks.raised(
        {
            "history": row["in_current_docs"] != "yes",
            "p50_above_p99": any(
                checks.above(number(row[f"{name}_p50_ms"]), number(row[f"{name}_p99_ms"])) for name in pairs
            ),
            "throughput_missing": rate is None,
            "more_in_flight_than_cores_hold": checks.above(in_flight, _times(cores, checks.IN_FLIGHT_PER_CORE_MAX)),
            "less_than_one_in_flight": checks.above(0.8, in_flight),
            "throughput_against_ttft_and_tpot": checks.disagrees(rate, derived, checks.ANSWER_TOLERANCE_RATIO),
            "instance_unknown": row["instance"] not in instances(),
        }
    )


def _times(value: float | None, factor: float) -> float | None:
    return None if value is None else value * factor


def sweep_rows(table: Sequence[Mapping[str, str]]) -> list[CaseRow]:
    """third_party_sweeps.csv: closed-loop concurrency sweeps of other people."""
    return [_sweep(row, line) for line, row in enumerate(table, start=2)]


def _sweep(row: Mapping[str, str], line: int) -> CaseRow:
    chip = chip_name(row["instance"])
    rate, out_tokens, users = float(row["output_tokens_per_s"]), float(row["output_tokens"]), float(row["concurrency"])
    ttft_p50, ttft_p90 = number(row["ttft_p50_s"]), number(row["ttft_p90_s"])
    per_chip = number(row["output_tokens_per_s_per_chip"])
    # Users who ask again at once: Little's law gives the mean time of an answer.
    latency = users * out_tokens / rate
    chips = whole(row["chips"])
    return CaseRow(
        record_id=f"line-{line}",
        source_url=row["source"],
        created_utc=row["date"],
        label="; ".join(part for part in (row["config"], row["note"]) if part),
        device_kind=None if chip is None else device_of(chip),
        method="endpoint",
        chip=chip,
        instance_type=row["instance"],
        chips_used=chips,
        versions=json.dumps({"engine": row["system"]}),
        model_id=row["model"],
        weights_random=False,
        phase="decode" if "token-generation throughput" in row["note"] else "serve",
        input_tokens=float(row["prompt_tokens"]),
        output_tokens=out_tokens,
        concurrency=users,
        wall_s_mean=latency,
        ttft_s_p50=ttft_p50,
        ttft_s_p90=ttft_p90,
        output_tokens_per_s=rate,
        requests_per_s=rate / out_tokens,
        flags=checks.raised(
            {
                "p50_above_p90": checks.above(ttft_p50, ttft_p90),
                "ttft_above_latency": checks.above(ttft_p50, latency),
                "per_chip_disagrees": checks.disagrees(per_chip, rate / chips if chips else None, 0.01),
            }
        ),
    )
