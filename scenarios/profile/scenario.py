"""A scenario's text from a trace: what the trace shows replaces the parent's, each key with where it comes from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from host.yaml_text import dump_yaml
from scenarios.fitting import CONFIDENCE, Growth
from scenarios.profile.back_test import Foretold, back_test
from scenarios.profile.figures import Profile, Spread, profile
from scenarios.traces.arrivals import SINCE_1970_S
from scenarios.traces.session import Trace

Values = dict[str, object]
COUNT_MAX = 100
POISSON_BELOW, POISSON_ABOVE = 0.9, 1.15
"""A CV between them is that of a Poisson process for all that a plan would show."""
CV_RANGE = (0.05, 50.0)
A_MONDAY = datetime(2026, 1, 5, tzinfo=UTC)
SOURCE = "fitted: a trace"


@dataclass(frozen=True)
class TraceFit:
    """A scenario's text; the counts that its shape reads, as CSV, None without a clock; and how all was obtained."""

    text: str
    counts: str | None
    report: tuple[str, ...]
    profile: Profile
    back_test: tuple[Foretold, ...]


def fit_trace(trace: Trace, *, name: str, parent: str, growth: Growth | None = None) -> TraceFit:
    """Turn a trace into a scenario that extends `parent`.

    Args:
        name: of the scenario; its counts lie beside it in NAME.counts.csv.
        growth: low, mid, high ratio of the coming peak to this one; none when None, and the report says so.
    """
    seen, foretold = profile(trace), back_test(trace)
    report = tuple(_report(trace, seen, foretold, parent, growth))
    values: dict[str, object] = {"extends": parent, "name": name}
    counts = None
    if seen.starts is not None:
        event, demand = _demand(trace, seen, name, growth)
        counts = _counts(trace, seen)
        values |= {"event": event, "demand": demand}
    values |= {"mix": _mix(seen), "capacity": {"assumed_tokens": _tokens(seen)}}
    tools = _tools(seen)
    if tools:
        values["assistant"] = {"tools": tools}
    notes = "".join(f"# {line}\n" for line in report)
    return TraceFit(f"{notes}{dump_yaml(_without_empty(values))}", counts, report, seen, foretold)


def _without_empty(values: Mapping[str, object]) -> Values:
    kept = {key: _without_empty(value) if isinstance(value, dict) else value for key, value in values.items()}
    return {key: value for key, value in kept.items() if value != {}}


def _start(trace: Trace) -> datetime:
    """When the event begins: the trace's own time, or a Monday where its times are offsets."""
    return datetime.fromtimestamp(int(trace.start_s), tz=UTC) if trace.start_s > SINCE_1970_S else A_MONDAY


def _demand(trace: Trace, seen: Profile, name: str, growth: Growth | None) -> tuple[Values, Values]:
    starts = seen.starts
    assert starts is not None
    grown = growth or Growth(1.0, 1.0, 1.0)
    length_s = len(starts.counts) * starts.step_s
    event = {"start": _start(trace).isoformat(), "length_s": length_s}
    peak = {key: float(f"{starts.peak_per_s * ratio:.4g}") for key, ratio in grown._asdict().items()}
    stream: dict[str, object] = {
        "peak_per_s": peak | {"confidence": CONFIDENCE},
        "source": f"{SOURCE}, {seen.sessions} sessions",
        "shape": {
            "kind": "trace", "file": f"{name}.counts.csv", "time_column": "timestamp", "count_column": "count",
            "step_s": starts.step_s, "offset_s": 0.0,
        },
        "arrivals": _arrivals(seen),
    }  # fmt: skip
    if seen.clients:
        stream["clients"] = clients = _clients(seen)
        if any(client["cv"] != 1.0 for client in clients.values()):
            stream["arrivals"] = {"process": "gamma", "cv": _cv(starts.cv or 1.0)}
    return event, {"interactions": stream}


def _arrivals(seen: Profile) -> Values:
    cv = seen.starts.cv if seen.starts is not None else None
    if cv is None or POISSON_BELOW <= cv <= POISSON_ABOVE:
        return {"process": "poisson"}
    return {"process": "gamma", "cv": _cv(cv)}


def _cv(cv: float) -> float:
    return float(f"{min(max(cv, CV_RANGE[0]), CV_RANGE[1]):.3g}")


def _clients(seen: Profile) -> dict[str, dict[str, float]]:
    shares = [round(client.share, 4) for client in seen.clients]
    shares[-1] = round(1.0 - sum(shares[:-1]), 4)
    return {
        f"client_{number}": {
            "share": share,
            "cv": _cv(client.cv),
            "input_tokens_ratio": float(f"{client.input_tokens_ratio:.3g}"),
            "output_tokens_ratio": float(f"{client.output_tokens_ratio:.3g}"),
        }
        for number, (share, client) in enumerate(zip(shares, seen.clients, strict=True), 1)
    }


def _counts(trace: Trace, seen: Profile) -> str:
    starts, begin_s = seen.starts, _start(trace).timestamp()
    assert starts is not None
    lines = [
        f"{datetime.fromtimestamp(begin_s + place * starts.step_s, tz=UTC):%Y-%m-%dT%H:%M:%SZ},{count}"
        for place, count in enumerate(starts.counts)
    ]
    return "\n".join(["timestamp,count", *lines]) + "\n"


def _count(spread: Spread) -> Values:
    most = int(min(COUNT_MAX, max(1.0, spread.most)))
    return {"mean": float(f"{min(max(1.0, spread.mean), most):.4g}"), "max": most}


def _wait(spread: Spread) -> Values:
    """A log-normal of the same median and spread of logarithms."""
    return {"median": _plain(spread.median), "cv": _plain(spread.log_cv), "max": _plain(max(spread.most, 0.001))}


def _plain(value: float) -> float:
    return float(f"{value:.4g}")


def _mix(seen: Profile) -> Values:
    """Turns and waits; typing is part of the think time that a trace shows."""
    mix: dict[str, object] = {
        "turns_per_interaction": _count(seen.turns_per_interaction),
        "interactions_per_session": _count(seen.interactions_per_session),
    }
    if seen.think_s is not None:
        mix |= {"think_s": _wait(seen.think_s), "typing_s": {"median": 0.0, "cv": 0.0}}
    if seen.between_s is not None:
        mix["between_interactions_s"] = _wait(seen.between_s)
    return mix


def _tokens(seen: Profile) -> Values:
    """Tokens of a call by class; what no class explains is the message's, so that the mean prompt is the trace's."""
    tokens: dict[str, object] = {"calls_per_turn": _plain(max(1.0, seen.calls_per_turn.mean))}
    if seen.output_tokens is not None:
        tokens |= {"output_tokens": round(seen.output_tokens.mean), "cv": _plain(min(seen.output_tokens.cv, 10.0))}
    if seen.input_tokens is None:
        return tokens
    mean = seen.input_tokens.mean
    shared = min(seen.prefixes.shared_tokens or 0.0, mean)
    later_turns = max(0.0, seen.turns_per_interaction.mean - 1) / 2
    history = min(seen.prefixes.history_tokens_per_turn or 0.0, (mean - shared) / later_turns if later_turns else 0.0)
    left = mean - shared - history * later_turns
    brought = min(seen.prefixes.tool_result_tokens or 0.0, left)
    parts = {"shared_prefix": shared, "customer_prefix": 0.0, "history": history, "tool_result": brought}
    names = {"history": "history_tokens_per_turn"}
    tokens |= {names.get(name, f"{name}_tokens"): round(value) for name, value in parts.items()}
    return tokens | {"message_tokens": max(1, round(left - brought))}


def _tools(seen: Profile) -> Values:
    if seen.tools_at_once is None or seen.tool_s is None:
        return {}
    return {"parallel": seen.tools_at_once.most > 1, "timeout_s": _plain(max(3.0, seen.tool_s.most))}


# --- the report -------------------------------------------------------------------------------------------------------


def _report(
    trace: Trace, seen: Profile, foretold: tuple[Foretold, ...], parent: str, growth: Growth | None
) -> Iterator[str]:
    yield (
        f"trace: {trace.form}, {seen.sessions:,} sessions, {seen.turns:,} turns, {seen.calls:,} calls in "
        f"{trace.length_s:,.0f} s"
    )
    yield f"turns per interaction {_shown(seen.turns_per_interaction)}; calls per turn {_shown(seen.calls_per_turn)}"
    if seen.calls_at_once.most > 1:
        yield f"calls at once {_shown(seen.calls_at_once)}"
    for name, spread in (("think time, s", seen.think_s), ("away between interactions, s", seen.between_s)):
        if spread is not None:
            yield f"{name}: {_shown(spread)}"
    if seen.tool_s is not None:
        beside = f"; at once {_shown(seen.tools_at_once)}" if seen.tools_at_once is not None else ""
        yield f"tool time, s: {_shown(seen.tool_s)}{beside}"
    for name, spread in (("input tokens", seen.input_tokens), ("output tokens", seen.output_tokens)):
        if spread is not None:
            yield f"{name} per call: {_shown(spread)}"
    yield from _prefix_lines(seen)
    yield from _arrival_lines(seen, growth)
    if trace.clock and trace.start_s <= SINCE_1970_S:
        yield f"event: its times are offsets, so it begins on a Monday of our choice, {A_MONDAY:%d %B %Y}"
    yield from trace.doubts
    yield from (f"not in the file, so the parent's ({parent}): {line}" for line in trace.unseen)
    yield from _back_test_lines(foretold)


def _shown(spread: Spread | None) -> str:
    if spread is None:
        return "unknown"
    return f"mean {spread.mean:.4g}, median {spread.median:.4g}, p95 {spread.p95:.4g}, most {spread.most:.4g}"


def _prefix_lines(seen: Profile) -> Iterator[str]:
    held = seen.prefixes
    if seen.cache_read_ratio is not None:
        yield f"cached input tokens: {seen.cache_read_ratio:.1%} of those that the calls count"
    if held.repeated_ratio is not None:
        yield f"repeated input tokens: {held.repeated_ratio:.1%} stand in leading blocks that an earlier prompt had"
    parts = (
        ("shared by most sessions", held.shared_tokens),
        ("a session's first prompt", held.first_tokens),
        ("grown by a turn", held.history_tokens_per_turn),
        ("brought by a tool", held.tool_result_tokens),
    )
    known = [f"{name} {tokens:,.0f}" for name, tokens in parts if tokens is not None]
    if known:
        yield f"prompt tokens: {', '.join(known)}"


def _arrival_lines(seen: Profile, growth: Growth | None) -> Iterator[str]:
    starts = seen.starts
    if starts is None:
        return
    cv = "not shown (times too coarse, or too few)" if starts.cv is None else f"{starts.cv:.2f}"
    yield (
        f"arrivals: peak {starts.peak_per_s:.4g} interactions/s in {starts.step_s:g} s, "
        f"{max(starts.counts) * len(starts.counts) / max(1, sum(starts.counts)):.1f} times the mean; "
        f"CV of gaps under the rate {cv}"
    )
    for number, client in enumerate(seen.clients, 1):
        yield f"client_{number}: {client.share:.1%} of sessions, CV {client.cv:.2f}"
    if growth is None:
        yield "growth: none, the peak is the trace's own; state the coming one over it with --growth LOW,MID,HIGH"


def _back_test_lines(foretold: tuple[Foretold, ...]) -> Iterator[str]:
    if not foretold:
        yield "back-test: none, the file holds too few sessions"
        return
    inside = sum(figure.inside for figure in foretold)
    yield (
        f"back-test: of the last fifth's {len(foretold)} figures, {inside} lay inside the {CONFIDENCE:.0%} interval "
        "made from the rest"
    )
    for figure in foretold:
        mark = "" if figure.inside else "  OUTSIDE"
        yield (
            f"back-test: {figure.name}: {figure.predicted:.4g} [{figure.low:.4g}, {figure.high:.4g}], "
            f"came {figure.actual:.4g}{mark}"
        )
