"""/metrics in the Prometheus text form: vLLM's names for the self-hosted models, and the emulator's own lateness."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from emulator.engine.pool import Pool
from emulator.lateness import Waits
from emulator.models import EmulatedModel, Emulator, LoopWatch
from wire.exposition import add_histogram, exposed

VLLM, BEDROCK = "vllm:", "peakday_bedrock_"


def metrics_text(emulator: Emulator, watch: LoopWatch, connections: int) -> bytes:
    """Everything, as one page; `connections` is how many were accepted since the start."""
    return exposed([*_own(emulator, watch, connections), *_models(emulator)])


def _own(emulator: Emulator, watch: LoopWatch, connections: int) -> Iterator[Metric]:
    lateness = emulator.lateness
    late = HistogramMetricFamily("peakday_emulator_lateness_seconds", "How late it sent.", labels=["kind"])
    _add(late, {"kind": "first_token"}, lateness.first)
    _add(late, {"kind": "token"}, lateness.token)
    planned = HistogramMetricFamily("peakday_emulator_planned_seconds", "Waits it meant to make.", labels=["kind"])
    _add(planned, {"kind": "ttft"}, lateness.ttft)
    _add(planned, {"kind": "gap"}, lateness.gap)
    yield late
    yield planned
    is_late, stall_s = float(bool(lateness.reasons())), watch.stall_s_max
    failures = emulator.internal_errors + emulator.pacer.failures
    yield GaugeMetricFamily("peakday_emulator_late", "1 when it is so late that a run is void.", is_late)
    yield GaugeMetricFamily("peakday_emulator_stall_seconds_max", "Longest stall of its loop.", stall_s)
    yield CounterMetricFamily("peakday_emulator_connections", "Connections accepted.", connections)
    yield CounterMetricFamily("peakday_emulator_failures", "Errors of the emulator itself.", failures)
    unknown = emulator.conversations.unknown
    yield CounterMetricFamily("peakday_emulator_unknown_messages", "Messages nothing was understood of.", unknown)


def _models(emulator: Emulator) -> Iterator[Metric]:
    models = list(emulator.by_key.values())
    images = CounterMetricFamily("peakday_emulator_images", "Pictures received.", labels=["model_name"])
    errors = CounterMetricFamily("peakday_emulator_errors", "Errors sent, by code.", labels=["model_name", "error"])
    steps = CounterMetricFamily("peakday_emulator_engine_steps", "Steps of its engine.", labels=["model_name"])
    for each in models:
        name = each.model.model_id
        images.add_metric([name], each.stats.images)
        for error, count in each.stats.errors.items():
            errors.add_metric([name, error], count)
        if isinstance(each.runner, Pool):
            steps.add_metric([name], sum(replica.engine.steps for replica in each.runner.replicas))
    yield from (images, errors, steps)
    for prefix in (VLLM, BEDROCK):
        yield from _served([each for each in models if _prefix(each) == prefix], prefix)


def _prefix(emulated: EmulatedModel) -> str:
    """vLLM's names where a model serves OpenAI's protocol, the same under a prefix of ours where it is Bedrock's."""
    return VLLM if emulated.model.protocol == "openai" else BEDROCK


def _served(models: list[EmulatedModel], prefix: str) -> Iterator[Metric]:
    counters = {"prompt_tokens": "Prompt tokens processed.", "generation_tokens": "Tokens generated."}
    for name, what in counters.items():
        family = CounterMetricFamily(f"{prefix}{name}", what, labels=["model_name"])
        for each in models:
            tokens = each.stats.prompt_tokens if name == "prompt_tokens" else each.stats.output_tokens
            family.add_metric([each.model.model_id], tokens)
        yield family
    histograms = {
        "time_to_first_token_seconds": ("Time to the first token.", "ttft"),
        "request_time_per_output_token_seconds": ("Mean time per output token of a request.", "tpot"),
        "e2e_request_latency_seconds": ("Whole requests.", "e2e"),
    }
    for name, (what, attribute) in histograms.items():
        waits = HistogramMetricFamily(f"{prefix}{name}", what, labels=["model_name"])
        for each in models:
            _add(waits, {"model_name": each.model.model_id}, getattr(each.stats, attribute))
        yield waits
    ended = CounterMetricFamily(f"{prefix}request_success", "Ended.", labels=["model_name", "finished_reason"])
    for each in models:
        for reason, count in each.stats.ended.items():
            ended.add_metric([each.model.model_id, reason], count)
    yield ended
    yield from _load(models, prefix)


def _load(models: list[EmulatedModel], prefix: str) -> Iterator[Metric]:
    """Requests under way, and what an engine of blocks holds."""

    def gauge(name: str, what: str) -> GaugeMetricFamily:
        return GaugeMetricFamily(f"{prefix}{name}", what, labels=["model_name"])

    def counter(name: str, what: str) -> CounterMetricFamily:
        return CounterMetricFamily(f"{prefix}{name}", what, labels=["model_name"])

    running, waiting = gauge("num_requests_running", "Running."), gauge("num_requests_waiting", "Waiting for room.")
    used = gauge("kv_cache_usage_perc", "Used share of KV blocks; 1 is all.")
    queries = counter("prefix_cache_queries", "Tokens looked up in the prefix cache.")
    hits = counter("prefix_cache_hits", "Tokens the prefix cache held.")
    for each in models:
        name = [each.model.model_id]
        if not isinstance(each.runner, Pool):
            running.add_metric(name, each.stats.running)
            continue
        pool = each.runner
        engines, caches = [one.engine for one in pool.replicas], [one.cache for one in pool.replicas]
        block = pool.physics.block_tokens
        running.add_metric(name, sum(len(engine.running) for engine in engines))
        waiting.add_metric(name, sum(len(engine.waiting) for engine in engines))
        blocks = pool.physics.kv_blocks * len(engines)
        used.add_metric(name, sum(engine.kv_blocks_used for engine in engines) / blocks)
        queries.add_metric(name, sum(cache.queried for cache in caches) * block)
        hits.add_metric(name, sum(cache.hit for cache in caches) * block)
    yield from (running, waiting, used, queries, hits)


def _add(family: HistogramMetricFamily, labels: dict[str, str], waits: Waits) -> None:
    add_histogram(family, labels, waits.cumulative(), waits.n, waits.total_s)
