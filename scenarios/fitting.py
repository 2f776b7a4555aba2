"""From last event's counts to a scenario with ranges: the shape is the history's, the growth is the unknown.

The interval of growth is stated by the user, or taken from the file itself: the ratio of each period's peak to the one
before, as a log-normal prediction interval, tested by walking forward through the file. Growth from day to day says
little about growth from year to year, and the report says so.
"""

from __future__ import annotations

import itertools
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from host.tables import columns_of, table_rows
from host.times import seconds_of
from host.yaml_text import dump_yaml
from scenarios.columns import find_counts
from scenarios.counts import StepCounts, step_counts
from scenarios.errors import ScenarioError

Floats = NDArray[np.float64]

CONFIDENCE = 0.8
RATIOS_MIN = 4
"""Fewer ratios of successive peaks say nothing about the next: growth must then be stated."""
WHOLE_FILE_S_MAX = 14 * 86_400.0
DAY_S = 86_400.0


class Growth(NamedTuple):
    """Ratio of the coming peak to the fitted one: low and high enclose it with CONFIDENCE."""

    low: float
    mid: float
    high: float


class BackTest(NamedTuple):
    """Walking forward: of `forecasts` intervals for the next period's peak, `inside` held it."""

    forecasts: int
    inside: int
    median_error_ratio: float


@dataclass(frozen=True)
class Fit:
    """A scenario's text, and how its numbers were obtained, line by line."""

    text: str
    report: tuple[str, ...]
    growth: Growth
    back_test: BackTest | None
    peak_per_s: float


def fit(
    history: str | Path,
    *,
    name: str,
    growth: Growth | None = None,
    length_s: float | None = None,
    parent: str = "steady_day",
    out_folder: Path | None = None,
    interactions_per_count: float = 1.0,
) -> Fit:
    """Turn counts per step into a scenario that extends `parent`.

    Args:
        history: CSV or CSV.gz with a column of times and one of counts, at an even step.
        name: of the scenario.
        growth: low, mid, high ratio of the coming peak to this one; from the file itself when None.
        length_s: the event is the busiest span of this length; the whole file when None.
        parent: gives regions, mix and everything that counts cannot tell.
        out_folder: where the scenario will lie; the trace's path is written relative to it.
        interactions_per_count: what one count stands for (0.05 when counts are page views, say).
    Raises:
        ScenarioError: unreadable, too long without `length_s`, or too short to learn growth from.
    """
    time_column, count_column, step_s = _columns(history)
    series = step_counts(str(history), time_column, count_column, step_s)
    begin, end = _event_span(series, length_s, str(history))
    event = series.counts[begin:end]
    peak_per_s = float(event.max()) / step_s * interactions_per_count
    if peak_per_s <= 0:
        raise ScenarioError(f"{history}: no counts above 0 in that span; choose another length")
    peaks = period_peaks(series, length_s if length_s and length_s < len(series.counts) * step_s else DAY_S)
    back_test = walk_forward(peaks)
    if growth is None:
        growth = _growth_of(peaks, str(history))
        origin = f"the file's {len(peaks) - 1} ratios of successive peaks (log-normal prediction interval)"
    else:
        _check(growth)
        origin = "stated with --growth"
    report = _report(series, event, peak_per_s, growth, origin, back_test, str(history))
    shape = {
        "kind": "trace",
        "file": os.path.relpath(history, out_folder or Path.cwd()),
        "time_column": time_column,
        "count_column": count_column,
        "step_s": step_s,
        "offset_s": begin * step_s,
    }
    start = datetime.fromtimestamp(series.start_s + begin * step_s, tz=UTC)
    text = _text(name, parent, start, len(event) * step_s, shape, peak_per_s, growth, report)
    return Fit(text=text, report=tuple(report), growth=growth, back_test=back_test, peak_per_s=peak_per_s)


def period_peaks(series: StepCounts, period_s: float) -> Floats:
    """The largest count of each complete period; a first period that begins in the middle of a UTC one is left out."""
    steps = max(1, round(period_s / series.step_s))
    first = round((np.ceil(series.start_s / period_s - 1e-9) * period_s - series.start_s) / series.step_s)
    periods = (len(series.counts) - first) // steps
    if periods <= 0:
        return np.zeros(0)
    peaks: Floats = series.counts[first : first + periods * steps].reshape(periods, steps).max(axis=1)
    return peaks


def predict(peaks: Floats) -> Growth:
    """The next ratio of successive peaks: median and prediction interval of a log-normal distribution.

    Source: Student's prediction interval for the next of n normal values, mean -+ t * sd * sqrt(1 + 1/n).
    """
    from scipy.special import stdtrit

    ratios = np.diff(np.log(peaks))
    n = len(ratios)
    half = float(stdtrit(n - 1, 0.5 + CONFIDENCE / 2)) * ratios.std(ddof=1) * np.sqrt(1 + 1 / n)
    low, mid, high = np.exp([ratios.mean() - half, ratios.mean(), ratios.mean() + half])
    return Growth(float(low), float(mid), float(high))


def walk_forward(peaks: Floats) -> BackTest | None:
    """Forecast each period's peak from those before it, and count how often the interval held it."""
    peaks = peaks[peaks > 0]
    errors, inside = [], 0
    for i in range(RATIOS_MIN + 1, len(peaks)):
        forecast, actual = predict(peaks[:i]), peaks[i] / peaks[i - 1]
        inside += bool(forecast.low <= actual <= forecast.high)
        errors.append(abs(np.log(actual / forecast.mid)))
    if not errors:
        return None
    return BackTest(len(errors), inside, float(np.expm1(np.median(errors))))


def _growth_of(peaks: Floats, history: str) -> Growth:
    peaks = peaks[peaks > 0]
    if len(peaks) < RATIOS_MIN + 1:
        raise ScenarioError(
            f"{history}: {len(peaks)} complete periods say nothing about growth; state it: --growth low,mid,high"
        )
    return predict(peaks)


def _check(growth: Growth) -> None:
    if not 0 < growth.low <= growth.mid <= growth.high < np.inf:
        raise ScenarioError(f"--growth {growth.low:g},{growth.mid:g},{growth.high:g}: expected 0 < low <= mid <= high")


def _columns(history: str | Path) -> tuple[str, str, float]:
    """Names of the time and count column, and the step between the first rows."""
    names = columns_of(Path(history), error=ScenarioError)
    columns = find_counts(names)
    if columns is None:
        listed = ", ".join(names)[:120]
        raise ScenarioError(f"{history}: expected a column of times and one of counts (period,count); it has {listed}")
    times: list[float] = []
    for line, row in itertools.islice(table_rows(Path(history), error=ScenarioError), 50):
        try:
            times.append(seconds_of(row[columns[0]]))
        except ValueError as error:
            raise ScenarioError(f"{history}: line {line}: {error}; expected ISO time or seconds") from None
    if len(times) < 2:
        raise ScenarioError(f"{history}: fewer than two rows; give counts per minute")
    step_s = float(np.median(np.diff(times)))
    if step_s <= 0:
        raise ScenarioError(f"{history}: times do not increase; sort the file")
    return (*columns, step_s)


def _event_span(series: StepCounts, length_s: float | None, history: str) -> tuple[int, int]:
    """First and last-plus-one step of the event."""
    total = len(series.counts)
    if length_s is None:
        if total * series.step_s > WHOLE_FILE_S_MAX:
            days = total * series.step_s / DAY_S
            raise ScenarioError(f"{history}: {days:.0f} days are no single event; say how long it is: --length 4d")
        return 0, total
    steps = round(length_s / series.step_s)
    if not 1 <= steps <= total:
        raise ScenarioError(f"{history}: lasts {total * series.step_s:g} s; the event cannot last {length_s:g} s")
    sums = np.concatenate(([0.0], np.cumsum(series.counts)))
    begin = int(np.argmax(sums[steps:] - sums[:-steps]))
    return begin, begin + steps


def _report(
    series: StepCounts,
    event: Floats,
    peak_per_s: float,
    growth: Growth,
    origin: str,
    back_test: BackTest | None,
    history: str,
) -> list[str]:
    lines = [
        f"shape: {len(event)} steps of {series.step_s:g} s from {Path(history).name}; peak {peak_per_s:.4g} "
        f"interactions/s, {event.max() / event.mean():.1f} times the mean",
        f"growth: {growth.low:.3g}, {growth.mid:.3g}, {growth.high:.3g} at confidence {CONFIDENCE:g}, {origin}",
    ]
    if series.missing:
        lines.append(f"gaps: {series.missing} missing steps of the file were interpolated")
    if back_test:
        share = back_test.inside / back_test.forecasts
        lines.append(
            f"back-test: walking forward, {back_test.inside} of {back_test.forecasts} peaks ({share:.0%}) lay inside "
            f"the {CONFIDENCE:.0%} interval made before them; median error {back_test.median_error_ratio:.0%}"
        )
        lines.append("caution: this is growth from one period of the file to the next, not from one event to the next")
    else:
        lines.append("back-test: none, the file holds too few periods")
    lines.append("not in counts, so taken from the parent: regions, mix, burstiness below one step, noise of the shape")
    return lines


def _text(
    name: str,
    parent: str,
    start: datetime,
    length_s: float,
    shape: dict[str, object],
    peak_per_s: float,
    growth: Growth,
    report: list[str],
) -> str:
    """The scenario's YAML, with the report as comments."""
    peak = {key: float(f"{peak_per_s * ratio:.4g}") for key, ratio in growth._asdict().items()}
    values = {
        "extends": parent,
        "name": name,
        "event": {"start": start.isoformat(), "length_s": length_s},
        "demand": {
            "interactions": {
                "peak_per_s": peak | {"confidence": CONFIDENCE},
                "source": f"fitted: {report[0]}",
                "shape": shape,
            }
        },
    }
    notes = "".join(f"# {line}\n" for line in report)
    return f"{notes}{dump_yaml(values)}"
