"""Usage of an account: CloudWatch's AWS/Bedrock metrics by the minute, over a past window."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from facts.account import MINUTE_S, Minute, MinuteKey
from facts.model_names import base_id
from facts.reader import Model
from host.errors import Exit
from host.json_values import items, number, objects, text
from peakday.account.clients import Connect, pages
from peakday.errors import CommandError

NAMESPACE = "AWS/Bedrock"
MINUTES_KEPT = timedelta(days=15)
"""CloudWatch keeps 60-second data points for 15 days (CloudWatch user guide, metrics retention)."""
QUERIES_MAX = 500
"""Of one GetMetricData request (CloudWatch API reference)."""
METRICS = {
    "Invocations": ("invocations", "Sum"),
    "InvocationThrottles": ("throttles", "Sum"),
    "InputTokenCount": ("input_tokens", "Sum"),
    "OutputTokenCount": ("output_tokens", "Sum"),
    "CacheReadInputTokenCount": ("cache_read_tokens", "Sum"),
    "CacheReadInputTokens": ("cache_read_tokens", "Sum"),
    "CacheWriteInputTokenCount": ("cache_write_tokens", "Sum"),
    "CacheWriteInputTokens": ("cache_write_tokens", "Sum"),
    "InvocationLatency": ("latency_s_mean", "Average"),
    "TimeToFirstToken": ("ttft_s_mean", "Average"),
    "EstimatedTPMQuotaUsage": ("quota_tokens", "Sum"),
}
"""Metric -> (column, statistic). Bedrock user guide, runtime metrics (read 2026-11); cache counts are met under both
names, of which an account has one. Latencies are in milliseconds; EstimatedTPMQuotaUsage is settled use, and AWS says
that throttling goes by what is reserved."""
_MS = 1e-3


@dataclass(frozen=True)
class Window:
    """A past stretch of time, in UTC."""

    start: datetime
    end: datetime

    def __str__(self) -> str:
        return f"{self.start:%Y-%m-%d %H:%M} to {self.end:%Y-%m-%d %H:%M} UTC"


def check_window(window: Window, now: datetime) -> None:
    """Refuse what CloudWatch no longer has by the minute; raises `CommandError`."""
    if window.start < now - MINUTES_KEPT:
        raise CommandError(
            f"usage of {window}: CloudWatch keeps minutes for 15 days; choose a later window, or import the model "
            "invocation log of that time with `peakday aws import-log`"
        )


def pull_usage(
    connect: Connect, regions: Sequence[str], models: Mapping[str, Model], window: Window
) -> dict[MinuteKey, Minute]:
    """Every minute with a data point. An account that made no call gives none.

    Raises:
        CommandError: refused, or CloudWatch gave only a part of what was asked.
    """
    minutes: dict[MinuteKey, Minute] = {}
    for region in regions:
        client = connect("cloudwatch", region)
        pairs = series(_existing(client), models)
        for start in range(0, len(pairs), QUERIES_MAX):
            _collect(client, region, pairs[start : start + QUERIES_MAX], window, minutes)
    return minutes


def _existing(client: object) -> set[tuple[str, str]]:
    """(metric, model id) that the account had of late; series of another dimension too are left out."""
    models = set()
    for page in pages(client, "list_metrics", Namespace=NAMESPACE):
        for metric in objects(page.get("Metrics")):
            dimensions = {item["Name"]: text(item["Value"]) for item in objects(metric.get("Dimensions"))}
            if set(dimensions) == {"ModelId"} and metric["MetricName"] in METRICS:
                models.add((text(metric["MetricName"]), dimensions["ModelId"]))
    return models


def series(existing: set[tuple[str, str]], models: Mapping[str, Model]) -> list[tuple[str, str]]:
    """(metric, model id) to ask for. ListMetrics forgets after two weeks without a call, so the models we know are
    asked for in any case."""
    ids = {name for m in models.values() if m.supply == "bedrock" for name in (m.model_id, base_id(m.model_id))}
    return sorted(existing | {(metric, model_id) for metric in METRICS for model_id in ids})


def _collect(
    client: object, region: str, pairs: Sequence[tuple[str, str]], window: Window, minutes: dict[MinuteKey, Minute]
) -> None:
    points: dict[tuple[str, str], dict[int, float]] = defaultdict(dict)
    status: dict[str, str] = {}
    for result in _results(client, pairs, window):
        query = text(result["Id"])
        metric, model_id = pairs[int(query[1:])]
        status[query] = text(result.get("StatusCode"), "Complete")
        moments = [stamp for stamp in items(result.get("Timestamps")) if isinstance(stamp, datetime)]
        stamps = (int(stamp.timestamp()) // MINUTE_S * MINUTE_S for stamp in moments)
        points[metric, model_id].update(zip(stamps, map(number, items(result.get("Values"))), strict=True))
    unfinished = [(pairs[int(query[1:])], code) for query, code in status.items() if code != "Complete"]
    if unfinished:
        (metric, model_id), code = unfinished[0]
        raise CommandError(
            f"cloudwatch:GetMetricData in {region}: {len(unfinished)} of {len(pairs)} series came in part, such as "
            f"{metric} of {model_id} ({code}); pull again, or a shorter window. Nothing was written",
            Exit.INCONCLUSIVE,
        )
    for (metric, model_id), values in points.items():
        column, _ = METRICS[metric]
        for minute_s, value in values.items():
            minute = minutes.setdefault((minute_s, region, model_id), Minute())
            setattr(minute, column, value * _MS if column.endswith("_s_mean") else value)


def _results(client: object, pairs: Sequence[tuple[str, str]], window: Window) -> Iterator[dict[str, object]]:
    queries = [
        {
            "Id": f"q{place}",
            "MetricStat": {
                "Metric": {
                    "Namespace": NAMESPACE,
                    "MetricName": metric,
                    "Dimensions": [{"Name": "ModelId", "Value": model_id}],
                },
                "Period": MINUTE_S,
                "Stat": METRICS[metric][1],
            },
        }
        for place, (metric, model_id) in enumerate(pairs)
    ]
    query = {"MetricDataQueries": queries, "StartTime": window.start, "EndTime": window.end}
    for page in pages(client, "get_metric_data", ScanBy="TimestampAscending", **query):
        yield from objects(page.get("MetricDataResults"))
