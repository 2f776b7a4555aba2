"""The one place that turns a run into named numbers; `plan_figures` does so for plans and benches.

Terminal, HTML, spreadsheet, CSV and Prometheus all print these, so they cannot disagree. A number that the record
does not hold is left out or unknown, never computed a second way here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace

from dashboards.numbers.units import UNKNOWN, show
from loadgen.record import Run
from loadgen.run_info import (
    AutobuyTotals,
    CacheHits,
    ChatAroundStorm,
    FirstTurn,
    StreamTotals,
    Totals,
    TurnsPerInteraction,
)
from slo.quantiles import Quantile

N_TAIL_SHOWN = 10
"""Below this many samples at or above it, a p99 is not printed: p95 is read in its place."""
N_TAIL_FIRM = 100
"""Below this many, a quantile is printed with `~`: it never gates and never calibrates alone."""

QUANTILES = ("p50", "p90", "p95", "p99")
METRICS = {
    "ttft_s": "TTFT",
    "e2e_s": "E2E latency",
    "ttft_from_send_s": "TTFT from send",
    "e2e_from_send_s": "E2E from send",
    "tpot_s": "TPOT",
    "gap_s": "Gap between chunks",
    "start_lag_s": "Start lag",
    "route_s": "Routing",
}
OUR_OWN = ("start_lag_s",)
"""Metrics of the generator: no emulator touches them."""


@dataclass(frozen=True)
class Number:
    """One figure under its one name.

    `name` ends in its unit, then a qualifier (`ttft_s_p99`); with `labels` it is unique in a record. `lo` and `hi`
    bound it. `censored`: the true value is at least this. `approximate`: fewer than N_TAIL_FIRM samples carry it.
    `simulated`: an input of provenance `simulated` touched it.
    """

    name: str
    label: str
    value: float | None
    unit: str
    group: str
    lo: float | None = None
    hi: float | None = None
    n: int | None = None
    n_tail: int | None = None
    censored: bool = False
    simulated: bool = False
    provenance: str = ""
    labels: tuple[tuple[str, str], ...] = ()

    @property
    def hidden(self) -> bool:
        """True for a p99 that too few samples carry to be printed at all."""
        return self.n_tail is not None and self.n_tail < N_TAIL_SHOWN and self.name.endswith("_p99")

    @property
    def approximate(self) -> bool:
        """True for a quantile that few samples carry."""
        return self.n_tail is not None and self.n_tail < N_TAIL_FIRM

    @property
    def text(self) -> str:
        """The value as printed: `0.81 s`, `~1.9 s`, `>= 60 s`, or a dash."""
        if self.value is None or self.hidden:
            return UNKNOWN
        mark = "≥ " if self.censored else "~" if self.approximate else ""
        return mark + show(self.value, self.unit)

    @property
    def interval(self) -> str:
        """`0.79 s to 0.84 s`, or nothing when no interval is known."""
        if self.hidden or self.lo is None or self.hi is None or self.lo == self.hi:
            return ""
        return f"{show(self.lo, self.unit)} to {show(self.hi, self.unit)}"

    @property
    def key(self) -> str:
        """Name with labels, unique within one record: `chips{model=custom-8b,region=us-east-1}`."""
        inner = ",".join(f"{key}={value}" for key, value in self.labels)
        return f"{self.name}{{{inner}}}" if inner else self.name


# --- a load run --------------------------------------------------------------------------------------------------

# name in run.json's totals -> (label, unit, group). Only what the record holds is shown.
_TOTALS: dict[str, tuple[str, str, str]] = {
    "asked": ("Turns offered", "count", "load"),
    "sent": ("Turns sent", "count", "load"),
    "completed": ("Turns completed", "count", "load"),
    "failed": ("Turns failed", "count", "service"),
    "abandoned": ("Turns abandoned", "count", "service"),
    "censored": ("Turns still running at the end", "count", "service"),
    "dropped": ("Turns dropped at the in-flight cap", "count", "service"),
    "resent": ("Requests sent once more (a lost kept-alive connection)", "count", "service"),
    "sessions": ("Sessions", "count", "load"),
    "interactions": ("Interactions", "count", "load"),
    "achieved_rate_per_s": ("Achieved rate, turns", "per_s", "load"),
    "goodput_per_s": ("Goodput, turns", "per_s", "service"),
    "error_ratio": ("Error ratio", "ratio", "service"),
    "abandoned_ratio": ("Abandoned", "ratio", "service"),
    "repeat_customer_ratio": ("Repeat customers", "ratio", "conversation"),
    "turns_per_interaction": ("Turns per interaction", "turns", "conversation"),
    "routes": ("Routed to", "ratio", "conversation"),
    "calls": ("Model calls", "count", "tokens"),
    "input_tokens": ("Input tokens, not cached", "tokens", "tokens"),
    "cache_read_tokens": ("Tokens read from cache", "tokens", "tokens"),
    "cache_write_tokens_5m": ("Tokens written to cache for 5 minutes", "tokens", "tokens"),
    "cache_write_tokens_1h": ("Tokens written to cache for 1 hour", "tokens", "tokens"),
    "output_tokens": ("Output tokens", "tokens", "tokens"),
    "cache_hit_token_ratio": ("Prompt cache hit rate", "ratio", "cache"),
    "cost_usd_per_interaction": ("Cost per interaction", "usd", "cost"),
    "cost_usd_per_turn": ("Cost per turn", "usd", "cost"),
    "cost_usd": ("Cost of the run", "usd", "cost"),
    "joules_per_output_token": ("Joules per output token", "joules", "cost"),
    "output_tokens_per_s_per_watt": ("Output tokens a second per watt", "tokens", "cost"),
}
_LABEL_OF = {"cache_hit_token_ratio": "level", "routes": "route"}
_TOUCHED_GROUPS = ("service", "latency", "conversation", "tokens", "cache", "cost")


def run_numbers(run: Run) -> list[Number]:
    """Every named number of a run, in the order in which a report shows them."""
    touched = bool(run.info.simulated)
    totals = run.info.totals or Totals()
    numbers = [
        *_totals(totals),
        *_rates(run.info.window, totals),
        *_quantiles(run.info.quantiles or {}),
        *(_first_turn(run.info.first_turn) if run.info.first_turn else ()),
        *_background(totals.background),
        *(_autobuy(totals.autobuy) if totals.autobuy else ()),
    ]
    return [replace(number, simulated=touched and _touchable(number)) for number in numbers]


def _rates(window: tuple[float, float] | None, totals: Totals) -> Iterator[Number]:
    """What the window's totals are a second, each with its unit: a rate of interactions is not one of turns."""
    length_s = window[1] - window[0] if window else 0.0
    if length_s <= 0:
        return
    if totals.interactions is not None:
        rate = totals.interactions / length_s
        yield Number("interactions_per_s", "Achieved rate, interactions", rate, "per_s", "load")
    if totals.output_tokens is not None:
        yield Number("output_tokens_per_s", "Output tokens", totals.output_tokens / length_s, "per_s", "tokens")


def _touchable(number: Number) -> bool:
    return number.group in _TOUCHED_GROUPS and not number.name.startswith(OUR_OWN)


def _totals(totals: Totals) -> Iterator[Number]:
    for name, (label, unit, group) in _TOTALS.items():
        value = getattr(totals, name)
        if isinstance(value, CacheHits | TurnsPerInteraction):
            value = asdict(value)
        if isinstance(value, Mapping):
            yield from _total_by(name, value)
        elif isinstance(value, (int, float)):
            yield Number(name, label, float(value), unit, group)


def _total_by(name: str, values: Mapping[str, float | None]) -> Iterator[Number]:
    """A total that is a table: statistics (mean, p50) become suffixes of its name, anything else a label."""
    label, unit, group = _TOTALS[name]
    for key, value in values.items():
        if value is None:
            continue
        if name in _LABEL_OF:
            yield Number(name, f"{label}, {key}", float(value), unit, group, labels=((_LABEL_OF[name], key),))
        else:
            yield Number(f"{name}_{key}", f"{label}, {key}", float(value), unit, group)


def _quantiles(quantiles: Mapping[str, Mapping[str, Quantile]]) -> Iterator[Number]:
    for metric, label in METRICS.items():
        for name in QUANTILES:
            quantile = (quantiles.get(metric) or {}).get(name)
            if quantile is not None:
                yield quantile_number(metric, label, name, quantile)


def _first_turn(first: FirstTurn) -> Iterator[Number]:
    """The first turn after the start: it may meet a cold target, so it stays out of the quantiles."""
    for metric, value in (("ttft_s", first.ttft_s), ("e2e_s", first.e2e_s)):
        if value is not None:
            yield Number(f"first_turn_{metric}", f"First turn, {METRICS[metric]}", value, "s", "service")


def _background(streams: Mapping[str, StreamTotals]) -> Iterator[Number]:
    for stream, totals in streams.items():
        labels = (("stream", stream),)
        for name, count in (("asked", totals.asked), ("completed", totals.completed)):
            label = f"{stream.replace('_', ' ').capitalize()} {name}"
            yield Number(f"background_{name}", label, float(count), "count", "load", labels=labels)
        for name, quantile in totals.delay_s.items():
            label = f"{stream.replace('_', ' ').capitalize()}, delay"
            number = quantile_number("background_delay_s", label, name, quantile)
            yield replace(number, group="service", labels=labels)


def _autobuy(totals: AutobuyTotals) -> Iterator[Number]:
    counts = (
        ("purchases", "Auto-buy purchases", totals.purchases),
        ("double_purchases", "Bought twice", totals.double_purchases),
        ("waiting", "Auto-buy rules matched, not bought yet", totals.waiting),
    )
    for name, label, count in counts:
        if count is not None:
            yield Number(f"autobuy_{name}", label, float(count), "count", "conversation")
    for name, quantile in totals.delay_s.items():
        if quantile.n:
            number = quantile_number("autobuy_delay_s", "Auto-buy delay", name, quantile)
            yield replace(number, group="conversation")
    if totals.chat_ttft_s is not None:
        yield from _chat_change(totals.chat_ttft_s)
    if totals.saving_ratio_mean is not None:
        saving = totals.saving_ratio_mean
        yield Number("saving_ratio_mean", "Saving by auto-buy, mean", saving, "ratio", "conversation")


def _chat_change(around: ChatAroundStorm) -> Iterator[Number]:
    """TTFT of the chat in the minute before and after a storm of rules, and its change."""
    for side, quantiles in (("before", around.before), ("after", around.after)):
        for name, quantile in quantiles.items():
            number = quantile_number("storm_ttft_s", f"TTFT in the minute {side} the rule storm,", name, quantile)
            yield replace(number, group="conversation", labels=(("side", side),))
    for name, change in around.change_ratio.items():
        label = f"TTFT {name}, change by the rule storm"
        yield Number(f"storm_ttft_change_ratio_{name}", label, float(change), "ratio", "conversation")


def quantile_number(metric: str, label: str, name: str, quantile: Quantile) -> Number:
    """A quantile of a latency metric as a `Number`."""
    return Number(
        name=f"{metric}_{name}",
        label=f"{label} {name}",
        value=quantile.value,
        unit="s",
        group="latency",
        lo=quantile.lo,
        hi=quantile.hi,
        n=quantile.n,
        n_tail=quantile.n_tail,
        censored=quantile.censored,
    )


def find(numbers: list[Number], name: str, **labels: str) -> Number | None:
    """The number of that name and labels, or None where the record has none."""
    wanted = tuple(sorted(labels.items()))
    return next((n for n in numbers if n.name == name and tuple(sorted(n.labels)) == wanted), None)


def tail(numbers: list[Number], metric: str) -> Number | None:
    """p99 of a metric where enough samples carry it, else p95, or what there is."""
    shown = (find(numbers, f"{metric}_{name}") for name in reversed(QUANTILES))
    return next(
        (number for number in shown if number is not None and not number.hidden and number.value is not None), None
    )
