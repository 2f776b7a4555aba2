"""What an account did and has: usage.csv (calls by minute) and quotas.yaml (quotas held), with their source."""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import NotRequired, TypedDict

from facts.decoding import FactsError
from facts.model_names import model_key
from facts.quota_names import ACCOUNT_TPD, Limits, limits_of, parse_quota_name
from facts.reader import Model, models
from host.files import FileError, lines_of, open_text
from host.tables import ROW_CHARS_MAX, columns_of, csv_text, table_rows
from host.times import seconds_of
from host.yaml_text import read_yaml

MINUTE_S = 60
QUOTAS_SCHEMA = "peakday.quotas/1"


@dataclass
class Minute:
    """What one model did in one minute. Input tokens exclude cached ones; NaN = no figure.

    ttft_s_mean: of streamed calls. quota_tokens: what AWS estimates the minute took of the tokens a minute, settled and
    not reserved: throttling goes by what is reserved.
    """

    invocations: float = 0.0
    throttles: float = 0.0
    input_tokens: float = 0.0
    output_tokens: float = 0.0
    cache_read_tokens: float = 0.0
    cache_write_tokens: float = 0.0
    latency_s_mean: float = math.nan
    ttft_s_mean: float = math.nan
    quota_tokens: float = math.nan


USAGE_COLUMNS = ("minute_utc", "region", "model_id", "model", *(item.name for item in fields(Minute)))

MinuteKey = tuple[int, str, str]
"""Unix seconds of the minute, region, and the model id as AWS writes it."""


@dataclass(frozen=True)
class UsageRow:
    """A minute of one model in one region. model: key of models.yaml, None where it knows no such model."""

    minute_s: int
    region: str
    model_id: str
    model: str | None
    minute: Minute


class QuotaValues(TypedDict):
    """A row of quotas.yaml."""

    code: str
    name: str
    value: float | None
    default: NotRequired[float | None]
    adjustable: bool


@dataclass(frozen=True)
class CallMeans:
    """The mean call of a model, over all minutes and regions; throttled_ratio: refused over asked.

    ttft_s: of the minutes that tell it. quota_tokens_peak: the busiest minute's, by AWS's own estimate.
    """

    model: str
    calls: float
    input_tokens: float
    cache_read_tokens: float
    cache_write_tokens: float
    output_tokens: float
    latency_s: float | None
    throttled_ratio: float
    ttft_s: float | None = None
    quota_tokens_peak: float | None = None


@dataclass(frozen=True)
class Usage:
    """An account's usage, as its file has it."""

    source: str
    rows: tuple[UsageRow, ...]

    def per_call(self) -> dict[str, CallMeans]:
        """Means by model key; models that models.yaml does not know, and models without a call, are left out."""
        grouped: dict[str, list[Minute]] = defaultdict(list)
        for row in self.rows:
            if row.model is not None:
                grouped[row.model].append(row.minute)
        return {
            key: _means(key, minutes)
            for key, minutes in sorted(grouped.items())
            if sum(minute.invocations for minute in minutes) > 0
        }

    def calls_by_minute(self) -> dict[int, float]:
        """Answered calls of every minute from the first to the last, over all models and regions."""
        found: dict[int, float] = defaultdict(float)
        for row in self.rows:
            found[row.minute_s] += row.minute.invocations
        return {minute: found.get(minute, 0.0) for minute in range(min(found), max(found) + MINUTE_S, MINUTE_S)}


@dataclass(frozen=True)
class QuotaRow:
    """One quota as Service Quotas has it. value None: AWS gave none; default None: AWS names no default."""

    service: str
    region: str
    code: str
    name: str
    value: float | None
    default: float | None
    adjustable: bool


@dataclass(frozen=True)
class Held:
    """The quotas of an account, as its file has them."""

    source: str
    rows: tuple[QuotaRow, ...]

    def quota(self, name: str, region: str) -> QuotaRow | None:
        """The row of a quota by its name in a region; None where the file has none."""
        return next((row for row in self.rows if (row.name, row.region) == (name, region)), None)

    def account_tpd(self, region: str) -> tuple[float, str] | None:
        """Tokens a day over all models of the account in a region, and where that stands; None where no row does."""
        for row in self.rows:
            parsed = parse_quota_name(row.name) if (row.service, row.region) == ("bedrock", region) else None
            if parsed is not None and parsed.kind == ACCOUNT_TPD and row.value is not None:
                return row.value, f"{self.source}, {region} ({row.code})"
        return None

    def limits(self, model: Model, region: str) -> Limits | None:
        """What the account may ask of a model in a region, by the model's own routing; None where no row names it."""
        rows = [
            (row.code, row.name, row.value)
            for row in self.rows
            if row.service == "bedrock" and row.region == region and row.value is not None
        ]
        return limits_of(model.model_id, rows, f"{self.source}, {region}")


def usage_text(rows: Mapping[MinuteKey, Minute], source: str) -> str:
    """usage.csv; its first line says where it comes from."""
    known = models()
    table = []
    for (minute_s, region, model_id), minute in sorted(rows.items()):
        stamp = datetime.fromtimestamp(minute_s, tz=UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        values = (getattr(minute, item.name) for item in fields(minute))
        cells = ["" if math.isnan(value) else f"{value:.10g}" for value in values]
        table.append([stamp, region, model_id, model_key(model_id, known) or "", *cells])
    return f"# source: {source}\n{csv_text(USAGE_COLUMNS, table)}"


def is_usage(path: Path) -> bool:
    """True for a file whose header is usage.csv's."""
    if not path.is_file() or path.suffix != ".csv":
        return False
    try:
        return columns_of(path)[:4] == list(USAGE_COLUMNS[:4])
    except FileError:
        return False


def read_usage(path: Path) -> Usage:
    """usage.csv as values.

    Raises:
        FactsError: a missing column, a cell that is no number, no row, or no row of a known model.
    """
    with open_text(path, error=FactsError) as stream:
        lines = lines_of(stream, path, ROW_CHARS_MAX, error=FactsError)
        head = list(itertools.takewhile(lambda line: line.startswith("#"), lines))
    comments = dict(line[1:].strip().split(":", 1) for line in head if ":" in line)
    names = columns_of(path, error=FactsError)
    missing = [name for name in USAGE_COLUMNS[:8] if name not in names]
    if missing:
        raise FactsError(f"{path}: no column {missing[0]}; `peakday aws pull` and `peakday aws import-log` write it")
    known = models()
    table = table_rows(path, error=FactsError)
    rows = tuple(_usage_row(f"{path}:{line}", row, known) for line, row in table)
    if not rows:
        raise FactsError(f"{path}: no row: no call was made in its window; pull a window with traffic")
    strangers = sorted({row.model_id for row in rows if row.model is None})
    if all(row.model is None for row in rows):
        raise FactsError(f"{path}: no row of a model that models.yaml knows: {', '.join(strangers)}")
    ends = [datetime.fromtimestamp(pick(row.minute_s for row in rows), tz=UTC) for pick in (min, max)]
    unknown = f"; unknown to models.yaml: {', '.join(strangers)}" if strangers else ""
    origin = comments.get("source", "no source given").strip()
    return Usage(f"{path.name}: {origin}, {ends[0]:%Y-%m-%d %H:%M} to {ends[1]:%Y-%m-%d %H:%M} UTC{unknown}", rows)


def read_quotas(path: Path) -> Held:
    """quotas.yaml as values.

    Raises:
        FactsError: it is no quotas.yaml, or a row lacks a key.
    """
    raw = read_yaml(path, error=FactsError)
    try:
        if raw.get("schema") != QUOTAS_SCHEMA:
            raise FactsError(f"{path}: schema is not {QUOTAS_SCHEMA}; `peakday aws pull` writes this file")
        regions: Mapping[str, Mapping[str, list[QuotaValues]]] = raw["regions"]
        rows = [
            _quota_row(service, region, row)
            for region, services in regions.items()
            for service, rows in services.items()
            for row in rows
        ]
        return Held(f"{path.name} of {str(raw['pulled_utc'])[:10]}", tuple(rows))
    except (KeyError, TypeError, AttributeError) as error:
        raise FactsError(f"{path}: cannot be read ({' '.join(str(error).split())}); pull it again") from None


def _quota_row(service: str, region: str, row: QuotaValues) -> QuotaRow:
    return QuotaRow(
        service, region, row["code"], row["name"], row["value"], row.get("default"), bool(row["adjustable"])
    )


def _usage_row(where: str, row: Mapping[str, str], known: Mapping[str, Model]) -> UsageRow:
    try:
        at_s = seconds_of(row["minute_utc"])
    except ValueError:
        raise FactsError(f"{where}: minute_utc {row['minute_utc']!r} is no time, such as 2026-11-01T12:00Z") from None
    minute = Minute()
    for item in fields(minute):
        cell = row.get(item.name) or ""
        if cell:
            setattr(minute, item.name, _number(f"{where}: {item.name}", cell))
    key = row["model"] if row["model"] in known else model_key(row["model_id"], known)
    return UsageRow(int(at_s) // MINUTE_S * MINUTE_S, row["region"], row["model_id"], key, minute)


def _number(where: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise FactsError(f"{where} is {text!r}, expected a number") from None
    if not math.isfinite(value) or value < 0:
        raise FactsError(f"{where} is {text}, expected a number >= 0")
    return value


def _means(key: str, minutes: list[Minute]) -> CallMeans:
    calls = sum(minute.invocations for minute in minutes)
    counted = [minute.quota_tokens for minute in minutes if not math.isnan(minute.quota_tokens)]
    throttles = sum(minute.throttles for minute in minutes)

    def mean(name: str) -> float:
        return float(sum(getattr(minute, name) for minute in minutes)) / calls

    return CallMeans(
        model=key,
        calls=calls,
        input_tokens=mean("input_tokens"),
        cache_read_tokens=mean("cache_read_tokens"),
        cache_write_tokens=mean("cache_write_tokens"),
        output_tokens=mean("output_tokens"),
        latency_s=_mean_s(minutes, "latency_s_mean"),
        throttled_ratio=throttles / (calls + throttles),
        ttft_s=_mean_s(minutes, "ttft_s_mean"),
        quota_tokens_peak=max(counted, default=None),
    )


def _mean_s(minutes: list[Minute], name: str) -> float | None:
    """Mean over the calls of the minutes that tell it; None where none does."""
    timed = [minute for minute in minutes if minute.invocations and not math.isnan(getattr(minute, name))]
    calls = sum(minute.invocations for minute in timed)
    return float(sum(getattr(minute, name) * minute.invocations for minute in timed)) / calls if calls else None
