"""What the process reports on /metrics. Names follow OpenTelemetry's GenAI conventions where those have one."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from host.json_values import number, text
from host.outbox import Outbox
from wire.spans import Row, TurnTrace

if TYPE_CHECKING:
    from assistant.autobuy.buyer import Bought

_LATENCY_S = (0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 8.0, 13.0, 21.0, 34.0, 60.0)
_ROUTE_S = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0)
_TOOL_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 3.0)
_TOKEN_TYPES = (
    ("input", "input_tokens"),
    ("cache_read", "cache_read_tokens"),
    ("cache_write_5m", "cache_write_tokens_5m"),
    ("cache_write_1h", "cache_write_tokens_1h"),
    ("output", "output_tokens"),
)


class _Spans(Collector):
    """Counts that the outbox keeps."""

    def __init__(self, outbox: Outbox[TurnTrace]) -> None:
        self._outbox = outbox

    def collect(self) -> Iterator[Metric]:
        """Spans that a receiver took, and those lost: refused, or put into a full outbox."""
        yield CounterMetricFamily("assistant_spans_sent", "Spans that the receiver took", self._outbox.sent)
        yield CounterMetricFamily("assistant_spans_dropped", "Spans lost before a receiver", self._outbox.dropped)


class Metrics:
    """Counters and histograms of one process, on a registry of its own."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._prefixes: dict[str, set[str]] = {}
        ProcessCollector(registry=self._registry)
        self._register_turns(self._registry)
        self._register_calls(self._registry)
        self._register_purchases(self._registry)
        self._keep_children()

    def _keep_children(self) -> None:
        """Look children up in a dict of ours: every call counts a dozen, and the library locks for each."""
        for metric in vars(self).values():
            if isinstance(metric, Counter | Gauge | Histogram):
                metric.labels = cache(metric.labels)  # type: ignore[method-assign, assignment]

    def _register_turns(self, registry: CollectorRegistry) -> None:
        self.turns = Counter(
            "assistant_turns", "Turns by how they ended", ["intent", "complexity", "status"], registry=registry
        )
        self.interactions = Counter("assistant_interactions", "Interactions begun (first turns)", registry=registry)
        self.in_flight = Gauge("assistant_turns_in_flight", "Turns being answered", registry=registry)
        self.route_s = Histogram(
            "assistant_route_duration_seconds", "Time to a route", ["stage"], buckets=_ROUTE_S, registry=registry
        )
        self.routes = Counter("assistant_routes", "Turns by model chosen", ["model", "stage"], registry=registry)
        self.route_over_budget = Counter(
            "assistant_route_over_budget", "Routes that took longer than the budget", registry=registry
        )
        self.guard = Counter("assistant_guard_actions", "Messages by what the guard did", ["action"], registry=registry)
        self.slow_readers = Counter("assistant_slow_readers_dropped", "Clients that read too slowly", registry=registry)

    def _register_calls(self, registry: CollectorRegistry) -> None:
        self.operation_s = Histogram(
            "gen_ai_client_operation_duration_seconds",
            "Duration of model calls",
            ["gen_ai_request_model", "error_type"],
            buckets=_LATENCY_S,
            registry=registry,
        )
        self.ttft_s = Histogram(
            "gen_ai_client_operation_time_to_first_chunk_seconds",
            "Time to the first content of model calls",
            ["gen_ai_request_model"],
            buckets=_LATENCY_S,
            registry=registry,
        )
        self.tokens = Counter(
            "gen_ai_client_token_usage",
            "Tokens by model and class",
            ["gen_ai_request_model", "gen_ai_token_type"],
            registry=registry,
        )
        self.cost_usd = Counter("assistant_cost_usd", "Cost of priced model calls", ["model"], registry=registry)
        self.tool_s = Histogram(
            "gen_ai_execute_tool_duration_seconds",
            "Duration of tool calls",
            ["gen_ai_tool_name", "status"],
            buckets=_TOOL_S,
            registry=registry,
        )
        self.spills = Counter(
            "assistant_spills", "Calls sent elsewhere", ["from_model", "to_model", "reason"], registry=registry
        )
        self.choices = Counter(
            "assistant_model_choices", "Models chosen by the policy", ["model", "reason"], registry=registry
        )
        self.throttles = Counter("assistant_throttles", "Calls refused with 429", ["model", "code"], registry=registry)
        self.points = Counter("assistant_cache_points", "Cache points sent", ["model"], registry=registry)
        self.points_left_out = Counter(
            "assistant_cache_points_left_out", "Cache points below the model's minimum", ["model"], registry=registry
        )
        self.fragments = Gauge(
            "assistant_cache_prefix_variants", "Most shared prefixes sent to one model: above 1, its cache is split",
            registry=registry,
        )  # fmt: skip
        self.trimmed = Counter(
            "assistant_history_trimmed_messages", "Messages dropped to fit a context", registry=registry
        )

    def _register_purchases(self, registry: CollectorRegistry) -> None:
        self.autobuy_delay_s = Histogram(
            "assistant_autobuy_delay_seconds",
            "From a price match to its purchase",
            buckets=(1, 2, 5, 10, 30, 60, 120, 300, 600, 1_200, 1_800),
            registry=registry,
        )
        self.saving_ratio = Histogram(
            "assistant_autobuy_saving_ratio",
            "Saving of automatic purchases against the price at the rule's creation",
            buckets=(0.0, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0),
            registry=registry,
        )

    def watch_spans(self, outbox: Outbox[TurnTrace]) -> None:
        """Show what became of the spans of turns."""
        self._registry.register(_Spans(outbox))

    def observe_call(self, call: Row) -> None:
        """Count one model call from its `usage` row."""
        model, code = text(call["model"]), text(call["error_code"])
        self.operation_s.labels(model, code).observe(number(call["e2e_s"]))
        if call["ttft_s"] is not None:
            self.ttft_s.labels(model).observe(number(call["ttft_s"]))
        for kind, column in _TOKEN_TYPES:
            if call[column]:
                self.tokens.labels(model, kind).inc(number(call[column]))
        if call["cost_usd"]:
            self.cost_usd.labels(model).inc(number(call["cost_usd"]))
        if call["status"] == "throttled":
            self.throttles.labels(model, code).inc()

    def observe_purchase(self, bought: Bought) -> None:
        """Count one automatic purchase."""
        self.autobuy_delay_s.observe(bought.autobuy_delay_s)
        self.saving_ratio.observe(bought.saving_ratio)

    def observe_prefix(self, model: str, prefix_hash: str) -> None:
        """Count distinct shared prefixes of a model; the most of any model is what is shown."""
        seen = self._prefixes.setdefault(model, set())
        if prefix_hash not in seen:
            seen.add(prefix_hash)
            self.fragments.set(max(len(hashes) for hashes in self._prefixes.values()))

    def text(self) -> bytes:
        """The exposition text."""
        return generate_latest(self._registry)
