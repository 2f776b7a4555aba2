"""/metrics in the Prometheus text form: vLLM's names for the self-hosted models, and the emulator's own lateness."""

from __future__ import annotations

from collections.abc import Iterable

from emulator.engine.pool import Pool
from emulator.lateness import Waits
from emulator.models import EmulatedModel, Emulator, LoopWatch

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def metrics_text(emulator: Emulator, watch: LoopWatch, connections: int) -> bytes:
    """Everything, as one page; `connections` is how many were accepted since the start."""
    lines: list[str] = []
    for emulated in emulator.by_key.values():
        lines += _model(emulated)
    lateness = emulator.lateness
    lines += _histogram("peakday_emulator_lateness_seconds", 'kind="first_token"', lateness.first)
    lines += _histogram("peakday_emulator_lateness_seconds", 'kind="token"', lateness.token)
    lines += _histogram("peakday_emulator_planned_seconds", 'kind="ttft"', lateness.ttft)
    lines += _histogram("peakday_emulator_planned_seconds", 'kind="gap"', lateness.gap)
    lines += [
        f"peakday_emulator_late {int(bool(lateness.reasons()))}",
        f"peakday_emulator_stall_seconds_max {watch.stall_s_max}",
        f"peakday_emulator_connections_total {connections}",
        f"peakday_emulator_failures_total {emulator.internal_errors + emulator.pacer.failures}",
        f"peakday_emulator_unknown_messages_total {emulator.conversations.unknown}",
    ]
    return ("\n".join(_with_types(lines)) + "\n").encode()


def _model(emulated: EmulatedModel) -> list[str]:
    """One model: vLLM's names where it serves OpenAI's protocol, the same under our prefix where it is Bedrock's."""
    name, stats = f'model_name="{emulated.model.model_id}"', emulated.stats
    prefix = "vllm:" if emulated.model.protocol == "openai" else "peakday_bedrock_"
    lines = [
        f"{prefix}prompt_tokens_total{{{name}}} {stats.prompt_tokens}",
        f"{prefix}generation_tokens_total{{{name}}} {stats.output_tokens}",
        *_histogram(f"{prefix}time_to_first_token_seconds", name, stats.ttft),
        *_histogram(f"{prefix}request_time_per_output_token_seconds", name, stats.tpot),
        *_histogram(f"{prefix}e2e_request_latency_seconds", name, stats.e2e),
        f"peakday_emulator_images_total{{{name}}} {stats.images}",
    ]
    for reason, count in stats.ended.items():
        lines.append(f'{prefix}request_success_total{{{name},finished_reason="{reason}"}} {count}')
    for error, count in stats.errors.items():
        lines.append(f'peakday_emulator_errors_total{{{name},error="{error}"}} {count}')
    if isinstance(emulated.runner, Pool):
        lines += _pool(prefix, name, emulated.runner)
    else:
        lines.append(f"{prefix}num_requests_running{{{name}}} {stats.running}")
    return lines


def _pool(prefix: str, name: str, pool: Pool) -> list[str]:
    engines = [replica.engine for replica in pool.replicas]
    caches = [replica.cache for replica in pool.replicas]
    block = pool.physics.block_tokens
    used = sum(engine.kv_blocks_used for engine in engines) / (pool.physics.kv_blocks * len(engines))
    return [
        f"{prefix}num_requests_running{{{name}}} {sum(len(engine.running) for engine in engines)}",
        f"{prefix}num_requests_waiting{{{name}}} {sum(len(engine.waiting) for engine in engines)}",
        f"{prefix}kv_cache_usage_perc{{{name}}} {used:.6f}",
        f"{prefix}prefix_cache_queries_total{{{name}}} {sum(cache.queried for cache in caches) * block}",
        f"{prefix}prefix_cache_hits_total{{{name}}} {sum(cache.hit for cache in caches) * block}",
        f"peakday_emulator_engine_steps_total{{{name}}} {sum(engine.steps for engine in engines)}",
    ]


def _histogram(name: str, label: str, histogram: Waits) -> list[str]:
    lines = [f'{name}_bucket{{{label},le="{edge_s}"}} {count}' for edge_s, count in histogram.cumulative()]
    lines.append(f'{name}_bucket{{{label},le="+Inf"}} {histogram.n}')
    lines.append(f"{name}_sum{{{label}}} {histogram.total_s}")
    lines.append(f"{name}_count{{{label}}} {histogram.n}")
    return lines


def _with_types(lines: Iterable[str]) -> list[str]:
    """The lines grouped by metric, each group under its TYPE line."""
    groups: dict[str, list[str]] = {}
    for line in lines:
        name = line.split("{")[0].split(" ")[0]
        for suffix in ("_bucket", "_sum", "_count"):
            name = name.removesuffix(suffix)
        groups.setdefault(name, []).append(line)
    typed = []
    for name, members in groups.items():
        kind = "histogram" if "_bucket{" in members[0] else "counter" if name.endswith("_total") else "gauge"
        typed += [f"# TYPE {name} {kind}", *members]
    return typed
