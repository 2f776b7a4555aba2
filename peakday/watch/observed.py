"""What happened in each minute, by model and region: from an account's usage.csv, or from Prometheus."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlencode

from facts.account import read_usage
from host.errors import Exit
from peakday.errors import CommandError

MINUTE_S = 60
ALL_REGIONS = ""
"""Region of a series that sums all: the assistant's metrics name none."""
HISTORY_MINUTES = 30
Key = tuple[str, str]
"""Model and region."""
Fetch = Callable[[str], bytes]


@dataclass(frozen=True)
class Observed:
    """A minute of one model in one region. input_tokens hold cached ones; throttles: calls that were refused."""

    minute_s: int
    calls: float = 0.0
    throttles: float = 0.0
    input_tokens: float = 0.0
    cache_read_tokens: float = 0.0
    output_tokens: float = 0.0

    @property
    def charged_tokens(self) -> float:
        """Input tokens that a tokens-per-minute quota is charged at the end of a call."""
        return self.input_tokens - self.cache_read_tokens


Series = Mapping[Key, tuple[Observed, ...]]


def of_usage(path: Path) -> Series:
    """Every minute of a usage.csv, oldest first.

    Raises:
        FactsError: it cannot be read, or holds no known model.
    """
    rows: dict[Key, list[Observed]] = {}
    for row in read_usage(path).rows:
        if row.model is not None:
            minute = row.minute
            asked = minute.input_tokens + minute.cache_read_tokens + minute.cache_write_tokens
            read, written = minute.cache_read_tokens, minute.output_tokens
            seen = Observed(row.minute_s, minute.invocations, minute.throttles, asked, read, written)
            rows.setdefault((row.model, row.region), []).append(seen)
    return {key: tuple(sorted(minutes, key=lambda one: one.minute_s)) for key, minutes in rows.items()}


QUERIES = {
    "calls": "60 * sum by (gen_ai_request_model) (rate(gen_ai_client_operation_duration_seconds_count[1m]))",
    "tokens": "60 * sum by (gen_ai_request_model, gen_ai_token_type) (rate(gen_ai_client_token_usage_total[1m]))",
    "throttles": "60 * sum by (model) (rate(assistant_throttles_total[1m]))",
}
"""Over the metrics of our assistant, which are those of OpenTelemetry's gen_ai conventions (docs/reports.md)."""


def of_prometheus(url: str, now_s: float, fetch: Fetch) -> Series:
    """The last half hour by the minute, all regions together, from Prometheus's HTTP API (query_range).

    Raises:
        CommandError: it answers something else than a matrix (exit 5).
    """
    end_s = int(now_s) // MINUTE_S * MINUTE_S
    found: dict[Key, dict[int, Observed]] = {}
    for name, query in QUERIES.items():
        span = {"query": query, "start": end_s - HISTORY_MINUTES * MINUTE_S, "end": end_s, "step": MINUTE_S}
        for labels, minute_s, value in _matrix(fetch(f"{url.rstrip('/')}/api/v1/query_range?{urlencode(span)}"), url):
            key = labels.get("gen_ai_request_model") or labels.get("model") or "", ALL_REGIONS
            minutes = found.setdefault(key, {})
            before = minutes.get(minute_s, Observed(minute_s))
            minutes[minute_s] = _with(before, name, labels.get("gen_ai_token_type", ""), value)
    return {key: tuple(minutes[at] for at in sorted(minutes)) for key, minutes in found.items()}


def _with(minute: Observed, name: str, kind: str, value: float) -> Observed:
    if name == "calls":
        return replace(minute, calls=minute.calls + value)
    if name == "throttles":
        return replace(minute, throttles=minute.throttles + value)
    if kind == "output":
        return replace(minute, output_tokens=minute.output_tokens + value)
    read = value if kind == "cache_read" else 0.0
    return replace(minute, input_tokens=minute.input_tokens + value, cache_read_tokens=minute.cache_read_tokens + read)


def _matrix(body: bytes, url: str) -> Iterable[tuple[dict[str, str], int, float]]:
    try:
        answer = json.loads(body)
        for series in answer["data"]["result"]:
            for at, text in series["values"]:
                value = float(text)
                if value == value:
                    yield series["metric"], int(float(at)), value
    except (ValueError, KeyError, TypeError, AttributeError):
        raise CommandError(
            f"--prometheus {url}: no answer of Prometheus's query API; name its address, such as http://127.0.0.1:9090",
            Exit.ENVIRONMENT,
        ) from None
