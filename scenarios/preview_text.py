"""A preview in a terminal: sparklines of the rate by region with its band, and the totals to expect."""

from __future__ import annotations

import math

import numpy as np

from scenarios.demand import Floats
from scenarios.preview import Burst, Preview, StreamView

_BARS = " ▁▂▃▄▅▆▇█"
WIDTH = 60


def preview_text(view: Preview) -> str:
    """The preview as lines of text, at most some 110 columns wide."""
    start_s, end_s = view.window
    lines = [
        f"{view.scenario.name} ({view.hash}): {start_s:g}s:{end_s:g}s of the event, scale {view.scale:g}, "
        f"seed {view.seed}",
        view.scenario.description,
        "",
    ]
    for stream in view.streams:
        lines += [*_stream(view, stream), ""]
    lines += [_burst(view), "", *_tokens(view), "", totals(view)]
    lines += [f"warning: {warning}" for warning in view.warnings]
    return "\n".join(lines)


def sparkline(values: Floats, top: float, width: int = WIDTH) -> str:
    """Bars of the largest value in each of `width` parts, `top` being a full bar."""
    parts = np.array([part.max() for part in np.array_split(values, min(width, len(values)))])
    level = np.ceil(np.clip(parts / top, 0, 1) * (len(_BARS) - 1)) if top > 0 else np.zeros(len(parts))
    return "".join(_BARS[int(i)] for i in level)


def amount(value: float) -> str:
    """A number as people read it: 63.0 million, 12,345, 4.2."""
    for size, word in ((1e9, "billion"), (1e6, "million")):
        if value >= size:
            return f"{value / size:.1f} {word}"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def totals(view: Preview) -> str:
    """What the window holds at this scale, with the range of interactions."""
    low, mid, high = view.streams[0].expected
    return (
        f"expected: {amount(view.sessions)} sessions, {amount(mid)} interactions ({amount(low)} to {amount(high)}), "
        f"{amount(view.turns)} turns"
    )


def burst_words(burst: Burst) -> str:
    """The CV of gaps, or that there were too few to tell."""
    if math.isnan(burst.gap_cv):
        return "too few starts to tell the CV of gaps"
    return f"CV of gaps over all regions {burst.gap_cv:.2f}"


def _stream(view: Preview, stream: StreamView) -> list[str]:
    total = stream.rate_per_s.sum(axis=0)
    top = float(stream.rate_per_s.max())
    lines = [f"{stream.name}, starts per second by region"]
    for name, rate, expected in zip(view.scenario.event.regions, stream.rate_per_s, stream.per_region, strict=True):
        lines.append(
            f"  {name:<14} {sparkline(rate, top)}  peak {amount(float(rate.max())):<9} in all {amount(expected)}"
        )
    band = f"all regions, low, mid and high ({stream.confidence:.0%} between)"
    lines.append(f"  {band}")
    for word, ratio in (("low", stream.low_ratio), ("mid", 1.0), ("high", stream.high_ratio)):
        line = sparkline(total * ratio, float(total.max()) * stream.high_ratio)
        lines.append(f"  {word:<14} {line}  peak {amount(float(total.max()) * ratio)}")
    return [*lines, f"  source: {stream.source or 'not stated'}"]


def _burst(view: Preview) -> str:
    burst = view.burst
    line = sparkline(burst.counts.astype(float), float(burst.counts.max()), len(burst.counts) // 2)
    mean = float(burst.counts.mean())
    return (
        f"burstiness around the peak ({burst.process}; one draw, {burst.step_s:.2g} s a step)\n  {line}\n"
        f"  mean {mean:.3g} and at most {burst.counts.max()} starts a step; {burst_words(burst)}"
    )


def _tokens(view: Preview) -> list[str]:
    lines = ["tokens per interaction by the policy's model (assumed until a run has measured them)"]
    for model in view.models:
        lines.append(
            f"  {model.model:<16} {model.turn_share:>5.1%} of turns, {amount(model.input_tokens_per_interaction)} in, "
            f"{amount(model.output_tokens_per_interaction)} out, {model.calls_per_interaction:.2f} calls"
        )
    inputs = sum(model.input_tokens_per_interaction for model in view.models)
    outputs = sum(model.output_tokens_per_interaction for model in view.models)
    return [*lines, f"  {'all':<16} {amount(inputs)} in, {amount(outputs)} out"]
