"""Prometheus rules made from one plan: its band of demand, its ranges, its limits, as `watch` compares them.

Over the recorded series of deploy/prometheus/peakday.rules.yml, which name no region: all regions stand together.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from typing import TypedDict

import yaml

from capacity.plan import Plan
from dashboards.numbers.plan import LEVELS
from host.documentation import page_of
from peakday.watch.observed import ALL_REGIONS
from peakday.watch.planned import Limit, Planned, planned
from wire.text import Untrusted

FILE = "plan-band.rules.yml"
HOUR_S = 3_600.0
FILLS_WITHIN_S = 1_800
"""A limit that the last fifteen minutes' line reaches within half an hour is said before it is full."""
STEP_RATIO = 1e-4
"""Of the highest hour: a smaller change of the band makes no step."""
_CALLS, _TOKENS = "assistant:calls_per_minute", "assistant:tokens_per_minute"


Rule = TypedDict(
    "Rule",
    {"record": str, "alert": str, "expr": str, "for": str, "labels": dict[str, str], "annotations": dict[str, str]},
    total=False,
)
"""One rule of Prometheus: a recorded series, or an alert. `for` is a word of Python's own, hence the form."""


def plan_alerts(plan: Plan, starts: datetime | None) -> str:
    """The rule file. starts: the event's first moment: the band is then that of the hour; None: of the peak."""
    rules: list[Rule] = []
    for name in dict.fromkeys(supply.model for supply in plan.supplies):
        expected = planned(plan, (name, ALL_REGIONS), None)
        if expected is not None and expected.calls_per_min["p95"] > 0:
            rules += [*_recorded(plan, expected, starts), *_alerts(plan, expected)]
    head = (
        f"# Alerts by plan {Untrusted(plan.plan_id).line}, as `peakday watch` compares. Written by `peakday export`.\n"
    )
    text: str = yaml.safe_dump({"groups": [{"name": "peakday_plan_band", "rules": rules}]}, sort_keys=False, width=200)
    return head + text


def _recorded(plan: Plan, expected: Planned, starts: datetime | None) -> Iterator[Rule]:
    """What is planned for this model at this hour, and what is used of each limit."""
    for level in LEVELS:
        expr = (
            f"vector({expected.calls_per_min[level]:.6g})"
            if starts is None
            else _by_hour(plan, expected, starts, level)
        )
        yield _record("peakday:plan_calls_per_minute", expr, expected, level=level)
    for assumption, expr in _means(expected).items():
        yield _record("peakday:plan_call_mean", expr, expected, assumption=assumption)
    for limit in expected.limits:
        yield _record("peakday:plan_limit_used_ratio", _used(expected, limit), expected, limit=limit.name)


def _by_hour(plan: Plan, expected: Planned, starts: datetime, level: str) -> str:
    """A step at each hour whose band differs; nothing before the event and after it.

    An hour's band is the highest of the demand that begins in it.
    """
    begins_s = starts.timestamp()
    last_s = max((demand.offset_s[-1] for demand in plan.demand if demand.offset_s), default=0.0)
    hours = range(int(last_s // HOUR_S) + 1)
    band = [_highest(plan, expected, hour * HOUR_S, level) for hour in hours]
    steps, stated = [f"{band[0]:.6g}"], band[0]
    for hour in hours[1:]:
        if abs(band[hour] - stated) > STEP_RATIO * max(band):
            steps.append(f"({band[hour] - stated:.6g}) * (time() >= bool {begins_s + hour * HOUR_S:.0f})")
            stated = band[hour]
    during = f"time() >= bool {begins_s:.0f}", f"time() < bool {begins_s + (hours[-1] + 1) * HOUR_S:.0f}"
    return f"vector({' + '.join(steps)}) and on() (vector(({during[0]}) * ({during[1]})) == 1)"


def _highest(plan: Plan, expected: Planned, hour_s: float, level: str) -> float:
    offsets = {hour_s, *(at for d in plan.demand for at in d.offset_s if hour_s <= at < hour_s + HOUR_S)}
    bands = [planned(plan, expected.key, at) for at in sorted(offsets)]
    return max(one.calls_per_min[level] for one in bands if one is not None)


def _used(expected: Planned, limit: Limit) -> str:
    """Share of a limit that is used, calls that were refused included."""
    model, throttled = (
        _selector(expected),
        f"60 * sum(rate(assistant_throttles_total{_selector(expected, 'model')}[1m]))",
    )
    if limit.of != "tokens":
        calls = f"(sum({_CALLS}{model}) + ({throttled} or vector(0)))"
        return f"{calls} / {limit.per_min:.6g}"
    kept = _selector(expected, more='gen_ai_token_type!~"output|cache_read"')
    output = _selector(expected, more='gen_ai_token_type="output"')
    return f"(sum({_TOKENS}{kept}) + {limit.output_burndown_ratio:g} * sum({_TOKENS}{output})) / {limit.per_min:.6g}"


def _alerts(plan: Plan, expected: Planned) -> Iterator[Rule]:
    name, model = _shown(expected.key[0]), _selector(expected)
    then = " → ".join(map(_shown, expected.then)) or "the plan has no fallback for it"
    above = f"sum({_CALLS}{model}) > on() max(peakday:plan_calls_per_minute{_selector(expected, 'model', more=_LEVEL)})"
    yield _alert(
        "PlanDemandAbove",
        above,
        "2m",
        expected,
        f"{name}: {{{{ $value | humanize }}}} calls/min, above p95 of demand",
        plan,
    )
    for assumption in _means(expected):
        figure = expected.ranges[assumption]
        mean = f"peakday:plan_call_mean{_selector(expected, 'model', more=f'assumption={json.dumps(assumption)}')}"
        outside = f"{mean} < {figure.low:.6g} or {mean} > {figure.high:.6g}"
        summary = (
            f"{name}: {assumption} {{{{ $value | humanize }}}}, planned {_plain(figure.low)} to {_plain(figure.high)}"
        )
        yield _alert("PlanAssumptionLeft", outside, "5m", expected, summary, plan, assumption=assumption)
    for limit in expected.limits:
        used = f"peakday:plan_limit_used_ratio{_selector(expected, 'model', more=f'limit={json.dumps(limit.name)}')}"
        summary = f"{name}: {limit.name} is used up ({{{{ $value | humanizePercentage }}}}); then {then}"
        yield _alert("PlanLimitExceeded", f"{used} >= 1", "1m", expected, summary, plan, limit=limit.name)
        line = f"{used} < 1 and predict_linear({used}[15m], {FILLS_WITHIN_S}) >= 1"
        summary = f"{name}: {limit.name} is full within half an hour at this trend; then {then}"
        yield _alert("PlanLimitFills", line, "2m", expected, summary, plan, limit=limit.name)


_LEVEL = 'level="p95"'


def _means(expected: Planned) -> dict[str, str]:
    """Of the last five minutes, each assumption of the plan; where calls are made at all."""
    model = _selector(expected)
    calls = f"(sum(avg_over_time({_CALLS}{model}[5m])) > 0)"
    asked, read, output = (
        f"sum(avg_over_time({_TOKENS}{_selector(expected, more=f'gen_ai_token_type{kind}')}[5m]))"
        for kind in ('!="output"', '="cache_read"', '="output"')
    )
    known = {
        "prompt tokens per call": f"{asked} / {calls}",
        "answer tokens per call": f"{output} / {calls}",
        "cache hit ratio": f"({read} or vector(0)) / ({asked} > 0)",
    }
    return {name: expr for name, expr in known.items() if name in expected.ranges}


def _selector(expected: Planned, label: str = "gen_ai_request_model", more: str = "") -> str:
    return "{" + ",".join([f"{label}={json.dumps(Untrusted(expected.key[0]).label)}", *([more] if more else [])]) + "}"


def _record(name: str, expr: str, expected: Planned, **labels: str) -> Rule:
    return {"record": name, "expr": expr, "labels": {"model": Untrusted(expected.key[0]).label, **labels}}


def _alert(name: str, expr: str, lasts: str, expected: Planned, summary: str, plan: Plan, **labels: str) -> Rule:
    rule: Rule = {
        "alert": name,
        "expr": expr,
        "for": lasts,
        "labels": {"severity": "ticket" if name == "PlanAssumptionLeft" else "page",
                   "model": Untrusted(expected.key[0]).label, **labels},
        "annotations": {"summary": f"{summary} (plan {_shown(plan.plan_id)})",
                        "runbook_url": page_of(f"alerts#{name.lower()}")},
    }  # fmt: skip
    return rule


def _shown(text: str) -> str:
    """A text of the plan within a template of Prometheus: none of its braces opens an action."""
    return Untrusted(text).line.replace("{{", "{ {")


def _plain(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
