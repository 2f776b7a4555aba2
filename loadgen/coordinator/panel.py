"""How a run is going, as a panel for a terminal. Its figures are those of `live.json`, which the exporter serves."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from loadgen.analysis.verdict import start_lag_limit_s
from loadgen.coordinator.status_line import cache_hit_token_ratio
from loadgen.live import Live, LiveQuantiles

RECENT_S = 5.0
CPU_BUSY_RATIO = 0.9
"""A worker on this share of a core or more is about to be late."""
LATENCIES = (("ttft_s", "TTFT"), ("gap_s", "gap between chunks"), ("e2e_s", "E2E"))
ERRORS_SHOWN = 4
BAR_WIDTH = 40


@dataclass
class Rates:
    """Turns offered and sent per second over the last few seconds, from cumulative counts."""

    _past: deque[tuple[float, float, float]] = field(default_factory=lambda: deque([(0.0, 0.0, 0.0)]))

    def recent(self, elapsed_s: float, asked: float, sent: float) -> tuple[float, float]:
        """(asked, sent) per second; `elapsed_s` must not fall between calls."""
        if elapsed_s > self._past[-1][0]:
            self._past.append((elapsed_s, asked, sent))
        while len(self._past) > 2 and self._past[1][0] <= elapsed_s - RECENT_S:
            self._past.popleft()
        since_s, asked_before, sent_before = self._past[0]
        over_s = max(elapsed_s - since_s, 1e-9)
        return (asked - asked_before) / over_s, (sent - sent_before) / over_s


def panel(live: Live, length_s: float, rates: Rates, *, title: str, budget_usd: float | None = None) -> RenderableType:
    """The whole picture of a run at one moment.

    Args:
        live: the content of live.json.
        length_s: how long turns are offered.
        rates: kept from call to call.
    """
    if not live["elapsed_s"] or live["elapsed_s"] < 0:
        return Panel(Text("waiting for the workers"), title=title, title_align="left")
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    table.add_column()
    for name, content in _rows(live, length_s, rates, budget_usd):
        table.add_row(name, content)
    simulated = any(live["supplies"].values())
    return Panel(Group(table), title=title, title_align="left", subtitle="SIMULATED" if simulated else None)


def _rows(live: Live, length_s: float, rates: Rates, budget_usd: float | None) -> Iterator[tuple[str, RenderableType]]:
    counters = live["counters"]
    elapsed_s = live["elapsed_s"] or 0.0
    yield "window", _progress(elapsed_s, length_s)
    offered, sent = rates.recent(elapsed_s, counters.get("asked", 0), counters.get("sent", 0))
    yield "rate", Text(f"{offered:.1f} turns/s offered, {sent:.1f} turns/s sent over the last {RECENT_S:.0f} s")
    yield "turns", Text(_turns(counters, live["in_flight"]))
    yield "latency", _latencies(live["quantiles"])
    yield "errors", _errors(live["errors"])
    ratio = cache_hit_token_ratio(counters)
    yield "cache", Text("no input tokens yet" if ratio is None else f"{ratio:.1%} of input tokens read from cache")
    limit = f" of {budget_usd:g} USD" if budget_usd is not None else ""
    yield "cost", Text(f"{counters.get('cost_usd', 0):.4f} USD{limit} so far")
    yield "generator", _generator(live)
    for note in filter(None, (live["aborted"], *live["notes"], *live["lost"], *live["faults"][:1])):
        yield "!", Text(note, style="bold red")


def _progress(elapsed_s: float, length_s: float) -> RenderableType:
    done_s = min(elapsed_s, length_s)
    over = elapsed_s > length_s
    progress = f"{length_s:.0f} s over, draining" if over else f"{done_s:.0f} of {length_s:.0f} s"
    grid = Table.grid(padding=(0, 2))
    grid.add_row(ProgressBar(total=length_s, completed=done_s, width=BAR_WIDTH), progress)
    return grid


def _turns(counters: Mapping[str, float], in_flight: int) -> str:
    names = ("asked", "completed", "failed", "abandoned", "dropped", "censored")
    shown = [
        f"{counters.get(name, 0):.0f} {'offered' if name == 'asked' else name}"
        for name in names
        if counters.get(name, 0) or name == "asked"
    ]
    return ", ".join([*shown, f"{in_flight} in flight"])


def _latencies(quantiles: Mapping[str, LiveQuantiles]) -> RenderableType:
    grid = Table.grid(padding=(0, 2))
    for metric, label in LATENCIES:
        quantile = quantiles.get(metric)
        if quantile:
            grid.add_row(label, f"p50 {_ms(quantile['p50'])}", f"p99 {_ms(quantile['p99'])}", f"of {quantile['n']:.0f}")
    return grid if grid.row_count else Text("nothing answered yet")


def _errors(errors: Mapping[str, int]) -> Text:
    if not errors:
        return Text("none")
    most = sorted(errors.items(), key=lambda item: -item[1])
    rest = len(most) - ERRORS_SHOWN
    codes = ", ".join(f"{count} x {code}" for code, count in most[:ERRORS_SHOWN])
    return Text(codes + (f" and {rest} more kinds" if rest > 0 else ""), style="red")


def _generator(live: Live) -> Text:
    """Start lag against the verdict's limit, the busiest worker's CPU, and the latest heartbeat."""
    lag, ttft = live["quantiles"].get("start_lag_s"), live["quantiles"].get("ttft_s")
    health = live["health"].values()
    cpu = max((worker["cpu_ratio"] for worker in health), default=0.0)
    late_s = max((worker["heartbeat_late_s"] for worker in health), default=0.0)
    limit_s = start_lag_limit_s(ttft["p50"] if ttft else None)
    lag_s = lag["p99"] if lag else 0.0
    figures = (
        f"start lag p99 {_ms(lag_s)} (limit {_ms(limit_s)}), CPU {cpu:.0%} of a core, "
        f"heartbeat {_ms(late_s)} late, {len(live['workers'])} worker(s)"
    )
    tight = lag_s > limit_s or cpu >= CPU_BUSY_RATIO or bool(live["lost"])
    return Text(f"{figures}{': the run would be INVALID' if lag_s > limit_s else ''}", style="yellow" if tight else "")


def _ms(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 1 else f"{seconds * 1e3:.1f} ms"
