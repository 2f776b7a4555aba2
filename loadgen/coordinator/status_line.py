"""How a run is going, as a line of text."""

from __future__ import annotations

from collections.abc import Mapping

from facts.tokens import PROMPT_CLASSES
from loadgen.live import Live
from wire.text import Untrusted


def line(live: Live, length_s: float) -> str:
    """One line: time, rates, what is in flight, latency, errors, cache hits, dollars."""
    counters = live["counters"]
    elapsed_s = max(live["elapsed_s"] or 0.0, 1e-9)
    parts = [
        f"{min(elapsed_s, length_s):.0f}/{length_s:.0f} s",
        f"{counters.get('asked', 0):.0f} offered ({counters.get('asked', 0) / min(elapsed_s, length_s):.1f} turns/s)",
        f"{counters.get('sent', 0):.0f} sent",
        f"{live['in_flight']} {'draining' if elapsed_s > length_s else 'in flight'}",
    ]
    for metric, label in (("ttft_s", "TTFT"), ("gap_s", "gap"), ("start_lag_s", "start lag")):
        quantile = live["quantiles"].get(metric)
        if quantile:
            parts.append(f"{label} p50 {quantile['p50'] * 1e3:.1f} p99 {quantile['p99'] * 1e3:.1f} ms")
    parts += [
        f"{count} x {Untrusted(code).terminal}"
        for code, count in sorted(live["errors"].items(), key=lambda item: -item[1])[:3]
    ]
    lost = sum(counters.get(name, 0) for name in ("abandoned", "dropped"))
    if lost:
        parts.append(f"{lost:.0f} abandoned or dropped")
    ratio = cache_hit_token_ratio(counters)
    if ratio is not None:
        parts.append(f"cache {ratio:.0%}")
    if counters.get("cost_usd"):
        parts.append(f"${counters['cost_usd']:.2f}")
    parts += [f"{text}: INVALID" for text in live.get("lost", ())]
    return " | ".join(parts)


def cache_hit_token_ratio(counters: Mapping[str, float]) -> float | None:
    """Input tokens read from cache over all input tokens, of the turns answered so far; None before any."""
    asked = sum(counters.get(name, 0) for name in PROMPT_CLASSES)
    return counters.get("cache_read_tokens", 0) / asked if asked else None
