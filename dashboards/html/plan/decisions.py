"""Panels on what a reader may decide otherwise: routes, headroom, cache lifetimes, quotas, schedules."""

from __future__ import annotations

from capacity.plan import Plan
from dashboards.html import charts
from dashboards.html.page import Cell, Panel, Table
from dashboards.numbers.decisions import AS_PLANNED, bought_chips, decisions, headroom_totals
from dashboards.numbers.units import clock, show


def decision_panels(plan: Plan) -> list[Panel]:
    """First what would change a decision, then a table of each kind that the plan holds."""
    changing = [item for item in decisions(plan) if item.changes]
    if not decisions(plan):
        return []
    rows: list[list[Cell]] = [[item.title, item.sentence] for item in changing]
    words = "Each of these, known, may make you plan otherwise." if rows else "Nothing computed would change this plan."
    table = Table("Findings", ("On", "Finding"), rows, text_columns=(0, 1)) if rows else None
    return [
        Panel("What would change this plan", words, table),
        *_routing(plan),
        *_headroom(plan),
        *_cache(plan),
        *_throttling(plan),
        *_reserved(plan),
        *_schedules(plan),
        *_stampede(plan),
        *_stability(plan),
    ]


def _routing(plan: Plan) -> list[Panel]:
    if not plan.routing:
        return []
    rows: list[list[Cell]] = [
        [
            row.policy,
            show(row.usd_per_interaction, "usd"),
            None if row.acceptable_ratio is None else f"{row.acceptable_ratio:.3f}",
            show(row.seconds_per_call, "s"),
            row.provenance,
        ]
        for row in plan.routing
    ]
    columns = ("Policy", "Per interaction", "Acceptable turns", "Mean call", "Provenance")
    known = [row for row in plan.routing if row.acceptable_ratio is not None]
    chart = charts.base(
        height=320,
        hovermode="closest",
        xaxis={**charts.unit_axis("usd", along_x=True), "title": {"text": "USD an interaction"}},
        yaxis={"tickformat": ".0%", "rangemode": "normal", "title": {"text": "acceptable turns"}},
    )
    for index, row in enumerate(known):
        chart["data"].append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": row.policy,
                "x": [row.usd_per_interaction],
                "y": [row.acceptable_ratio],
                "marker": {
                    "color": charts.COLOURS[index % 6],
                    "symbol": "star" if row.policy == AS_PLANNED else charts.SYMBOLS[index % len(charts.SYMBOLS)],
                    "size": 12,
                },
            }
        )
    words = "Up is better, left is cheaper; a policy that is both makes the planned one a choice to be defended."
    table = Table("Routing policies", columns, rows, text_columns=(0, 4))
    return [Panel("Cost against quality", words, table, chart if known else None)]


def _headroom(plan: Plan) -> list[Panel]:
    totals = headroom_totals(plan)
    if not totals:
        return []
    rows: list[list[Cell]] = [[row.rule, show(row.chips, "chips"), show(row.usd, "usd")] for row in totals]
    rows.append(["as planned", show(bought_chips(plan), "chips"), None])
    words = (
        "Chips over all models and regions that each rule would buy, and their dollars in the event: what one more "
        "nine costs, what each spare costs, and the fleet of least worst-case regret where an interaction has a value."
    )
    chart = charts.bars([row.rule for row in totals], {"chips": [float(row.chips) for row in totals]}, "chips")
    return [Panel("Headroom", words, Table("Headroom by rule", ("Rule", "Chips", "USD, the event"), rows), chart)]


def _cache(plan: Plan) -> list[Panel]:
    if not plan.cache_advice:
        return []
    choices = list(dict.fromkeys(choice for row in plan.cache_advice for choice in row.usd_per_mtok))
    rows: list[list[Cell]] = [
        [
            row.model,
            row.level,
            "do not cache" if row.choice == "none" else row.choice,
            *[show(row.usd_per_mtok.get(choice), "usd") for choice in choices],
            show(row.hit_ratio.get(row.choice), "ratio"),
        ]
        for row in plan.cache_advice
    ]
    columns = (
        "Model",
        "Part of the prompt",
        "Keep for",
        *[f"USD/Mtok, {choice}" for choice in choices],
        "Read from cache",
    )
    words = "Dollars for a million prompt tokens of each part, by how long the provider is asked to keep it."
    return [Panel("Cache lifetime", words, Table("Cache lifetimes", columns, rows, text_columns=(0, 1, 2)))]


def _throttling(plan: Plan) -> list[Panel]:
    rows: list[list[Cell]] = []
    for supply in plan.supplies:
        limits = supply.throttling
        if limits is None:
            continue
        settled, reserved = limits.settlement.get("p90"), limits.reservation.get("p90")
        first = min(((at, kind) for kind, at in (settled.first_s if settled else {}).items()), default=None)
        advice = limits.max_tokens_advice
        rows.append(
            [
                supply.model,
                supply.region,
                show(reserved.throttled_ratio if reserved else None, "ratio"),
                show(settled.throttled_ratio if settled else None, "ratio"),
                show(settled.cut_ratio if settled else None, "ratio"),
                f"{first[1]} at {clock(first[0], 3_600)}" if first else "never",
                f"{advice.max_tokens:,}" if advice is not None and advice.calls_needed is None else None,
            ]
        )
    if not rows:
        return []
    columns = (
        "Model",
        "Region",
        "By reservation",
        "By settlement",
        "Answers cut off",
        "First, by settlement",
        "max_tokens to set",
    )
    words = (
        "Share of calls that the quota buckets, as granted, would turn away over the event at p90 of demand. A call "
        "reserves when it starts: by settlement, what it did not use comes back as it ends; by reservation, nothing."
    )
    return [Panel("Throttling", words, Table("Calls throttled", columns, rows, text_columns=(0, 1, 5)))]


def _reserved(plan: Plan) -> list[Panel]:
    """Amounts where a price is known; and the dearest price at which the least amount pays."""
    rows: list[list[Cell]] = [
        [
            row.model,
            row.region,
            kind,
            f"{part.tpm:,.0f}" if row.priced else "no price given",
            show(part.usd if row.priced else None, "usd"),
            show(part.replaced_usd if row.priced else None, "usd"),
            show(part.overflow_ratio if row.priced else None, "ratio"),
            show(part.breakeven_usd, "usd"),
        ]
        for row in plan.reserved
        for kind, part in (("input", row.input), ("output", row.output))
    ]
    if not rows:
        return []
    columns = (
        "Model", "Region", "Kind", "TPM to reserve", "For the term", "Replaces", "To Standard",
        "Pays below, 1K TPM a month",
    )  # fmt: skip
    words = (
        "From the load-duration curve of the event at p50 of demand, and nothing else that the term would carry. The "
        "price is your account team's (prices.reserved); at least 100,000 input and 10,000 output tokens a minute are "
        "sold."
    )
    return [Panel("Reserved tier", words, Table("Reserved tier", columns, rows, text_columns=(0, 1, 2)))]


def _schedules(plan: Plan) -> list[Panel]:
    if not plan.schedules:
        return []
    rows: list[list[Cell]] = [
        [
            f"{row.model}, {row.region}",
            row.instance_type,
            show(min(row.instances_by_hour, default=None), "instances"),
            show(max(row.instances_by_hour, default=None), "instances"),
            show(row.usd, "usd"),
            show(row.flat_usd, "usd"),
        ]
        for row in plan.schedules
    ]
    columns = ("Fleet", "Instance", "Fewest", "Most", "By the hour", "Held throughout")
    words = "Instances hour by hour against the same fleet held through the event; owned and committed ones stay."
    span_s = 3_600.0 * max(len(row.instances_by_hour) for row in plan.schedules)
    lines = [
        charts.Line(
            f"{row.model}, {row.region}",
            [3_600.0 * i for i in range(len(row.instances_by_hour))],
            list(row.instances_by_hour),
            style,
        )
        for style, row in enumerate(plan.schedules)
    ]
    table = Table("Schedules", columns, rows, text_columns=(0, 1))
    return [Panel("Schedule", words, table, charts.lines(lines, "instances", span_s) if len(lines) <= 6 else None)]


def _stampede(plan: Plan) -> list[Panel]:
    if not plan.cache_stampede:
        return []
    rows: list[list[Cell]] = [
        [
            row.model,
            row.region,
            clock(row.at_s, 3_600),
            show(round(row.misses), "count"),
            show(row.usd, "usd"),
            show(row.tpm_share, "ratio"),
        ]
        for row in plan.cache_stampede
    ]
    columns = ("Model", "Region", "At", "Calls that miss", "USD", "Of a minute's tokens")
    words = "What refilling a provider's empty cache costs: at the start, and after a change of the shared prompt."
    return [Panel("Cache stampede", words, Table("Refilling an empty cache", columns, rows, text_columns=(0, 1)))]


def _stability(plan: Plan) -> list[Panel]:
    if not plan.hit_stability:
        return []
    rows: list[list[Cell]] = [
        [
            row.model,
            row.region,
            row.chip,
            ", ".join(show(share, "ratio") for share in row.solutions),
            row.warning or "heals by itself",
        ]
        for row in plan.hit_stability
    ]
    columns = ("Model", "Region", "Chip", "Shares of the planned hits", "After a restart")
    words = "Shares of the planned hits at which load and cache hold each other up, at the peak with zones lost."
    table = Table("Stability of own block caches", columns, rows, text_columns=(0, 1, 2, 3, 4))
    return [Panel("Own block cache", words, table)]
