"""The parts of a plan's report: what drives it, what it asks for, what it costs, and what would change it."""

from __future__ import annotations

from collections.abc import Sequence

from capacity.plan import Plan
from capacity.rows.fleet import SupplyPlan
from capacity.rows.needs import QuotaNeed
from dashboards.html import charts
from dashboards.html.charts import Limit, Line
from dashboards.html.page import Banner, Bullets, Cell, Panel, Paragraph, Part, Prose, Table, marked
from dashboards.html.plan.chips import chip_panels
from dashboards.html.plan.decisions import decision_panels
from dashboards.html.plan.fallback_chain import beyond_panels
from dashboards.html.plan.money import cost_panels, inputs_panel, purchase_panel, rejected_panel, sensitivity_panels
from dashboards.html.plan.ramp import ramp_panels
from dashboards.html.plan.why import why_part
from dashboards.numbers.plan import over_seeds, plan_numbers
from dashboards.numbers.run import Number, find
from dashboards.numbers.units import clock, show
from dashboards.numbers.warnings import at_most, by_weight


def plan_banners(plan: Plan) -> list[Banner]:
    """Whether anything in the plan was simulated, then its validity warnings."""
    banners = []
    if plan.simulated:
        names = ", ".join(note.name for note in plan.inputs if note.provenance == "simulated")
        text = (
            f"Simulated inputs touched this plan ({names}). Every number they reached says so; none may go into an "
            "order."
        )
        banners.append(Banner("warn", "SIMULATED", text))
    if plan.warnings:
        shown = at_most(by_weight(plan.warnings), "under Warnings")
        banners.append(Banner("warn", "VALIDITY", "Read before quoting:", shown))
    return banners


def plan_facts(plan: Plan) -> list[tuple[str, str]]:
    """Where the plan comes from."""
    kinds = sorted({note.provenance for note in plan.inputs})
    return [
        ("Scenario", f"{plan.scenario.name} ({plan.scenario.hash[:12]})"),
        ("Seed", str(plan.seed)),
        ("Created", plan.created_utc),
        ("Inputs", ", ".join(kinds)),
        ("peakday", plan.peakday_version),
    ]


def plan_headline(plan: Plan) -> list[Number]:
    """Chips of each pool, cost per interaction, cost of the event, overall hit rates."""
    numbers = plan_numbers(plan)
    chips = [number for number in numbers if number.name == "chips"]
    wanted = [
        *chips[:3],
        find(numbers, "cost_usd_per_interaction", intent="all"),
        find(numbers, "cost_usd_per_interaction_p99", intent="all"),
        find(numbers, "event_cost_usd"),
        *[n for n in numbers if n.name == "cache_hit_token_ratio" and dict(n.labels)["level"] == "all"][:2],
    ]
    return [number for number in wanted if number is not None]


def plan_parts(plan: Plan) -> list[Part]:
    """Every part of the report."""
    numbers = plan_numbers(plan)
    return [
        Part("assumptions", "What drives this plan", lead=_drivers(plan)),
        *_decisions(plan),
        Part("demand", "Demand", _demand_panels(plan)),
        Part("chips", "Chips", chip_panels(plan, numbers)),
        Part("quota", "Quota", [_quota_panel(plan, numbers), *_account_panels(plan, numbers), *ramp_panels(plan)]),
        Part("hits", "Prompt cache", [_hit_panel(plan, numbers)]),
        *_from_rows(plan, numbers),
        *_beyond(plan),
        *_warnings(plan),
        Part("rejected", "Rejected", [rejected_panel(plan)]),
        *why_part(plan),
        Part("provenance", "Where the numbers come from", [inputs_panel(plan)]),
    ]


def _decisions(plan: Plan) -> list[Part]:
    """What a reader may decide otherwise, where the plan holds any; marked as a whole when an input was simulated."""
    panels = decision_panels(plan)
    part = Part("decisions", "Decisions", panels)
    return [marked(part) if plan.simulated else part] if panels else []


def _warnings(plan: Plan) -> list[Part]:
    texts = by_weight(plan.warnings)
    return [Part("warnings", "Warnings", lead=[Bullets(texts, numbered=True)])] if texts else []


def _beyond(plan: Plan) -> list[Part]:
    """What lies beyond the fleets, where the plan holds any; marked as a whole when an input was simulated."""
    panels = beyond_panels(plan)
    part = Part("beyond", "Beyond the fleets", panels)
    return [marked(part) if plan.simulated else part] if panels else []


def _from_rows(plan: Plan, numbers: list[Number]) -> list[Part]:
    """Parts whose tables hold more than named numbers: a simulated plan marks the whole table."""
    parts = [
        Part("money", "Cost", cost_panels(plan, numbers)),
        Part("purchase", "Purchase", [purchase_panel(plan)]),
        Part("what-if", "What would change it", sensitivity_panels(plan)),
    ]
    return [marked(part) for part in parts] if plan.simulated else parts


def service_words(plan: Plan) -> list[Prose]:
    """The one probability of the plan, and what no fleet serves."""
    if plan.service is None:
        return []
    service = plan.service
    text = (
        f"{service.level:.0%} of {service.short.n:,} joint draws ({service.why}) in fleets, quota asks and a budget of "
        f"{show(service.budget_usd, 'usd')}{over_seeds(service)} at once. P(short) {service.short.words}; alone: "
        f"{service.odds}."
    )
    return [
        Paragraph(text, lead="What is bought carries"),
        *[Paragraph(words, lead="Not served:") for words in plan.not_served],
    ]


def _drivers(plan: Plan) -> list[Prose]:
    items = plan.assumptions_with_most_effect[:3]
    return [
        *service_words(plan),
        Paragraph(plan.first_limit_exceeded, lead="First limit exceeded:"),
        Paragraph("", lead=f"The {_COUNT.get(len(items), len(items))} assumptions that matter most"),
        Bullets(items, numbered=True),
    ]


HOUR_S = 3_600.0
TABLE_ROWS = 100
_COUNT = {1: "one", 2: "two", 3: "three"}


# --- demand ------------------------------------------------------------------------------------------------------


def _demand_panels(plan: Plan) -> list[Panel]:
    if not plan.demand:
        return [Panel("Peak by region", "The plan holds no demand.")]
    rows: list[list[Cell]] = [
        [d.region, *[show(value, "per_s") for value in d.peak_interactions_per_s.by_name.values()]] for d in plan.demand
    ]
    table = Table("Peak interactions per second", ("Region", "p50", "p90", "p95"), rows)
    biggest = max(plan.demand, key=lambda d: d.peak_interactions_per_s.p95)
    chart = charts.ranges({d.region: list(d.peak_interactions_per_s.by_name.items()) for d in plan.demand}, "per_s")
    sentence = (
        f"{biggest.region} peaks highest: {show(biggest.peak_interactions_per_s.p50, 'per_s')} in the middle case, "
        f"{show(biggest.peak_interactions_per_s.p95, 'per_s')} at p95 of demand."
    )
    return [
        Panel("Peak by region", sentence, table, chart),
        *[_demand_over_time(plan, i) for i in range(len(plan.demand))],
    ]


def _demand_over_time(plan: Plan, index: int) -> Panel:
    demand = plan.demand[index]
    span_s = max(demand.offset_s[-1], 1.0) if demand.offset_s else 1.0
    lines = [
        Line("p90", demand.offset_s, demand.interactions_per_s_p90, 1),
        Line("p95", demand.offset_s, demand.interactions_per_s_p95, 2),
        Line("p50", demand.offset_s, demand.interactions_per_s_p50, 0, fill_to="tonexty"),
    ]
    rows: list[list[Cell]] = [
        [clock(at, span_s), show(p50, "per_s"), show(p90, "per_s"), show(p95, "per_s")]
        for at, p50, p90, p95 in _sampled(
            demand.offset_s, demand.interactions_per_s_p50, demand.interactions_per_s_p90, demand.interactions_per_s_p95
        )
    ]
    if not demand.interactions_per_s_p50:
        return Panel(f"{demand.region} over the event", "The plan holds no timeline for this region.")
    at = demand.offset_s[max(range(len(demand.offset_s)), key=lambda i: demand.interactions_per_s_p50[i])]
    sentence = (
        f"The middle case peaks {clock(at, span_s)} after the start; the shaded band reaches up to p95 of demand."
    )
    table = Table("Interactions per second", ("From", "p50", "p90", "p95"), rows)
    return Panel(f"{demand.region} over the event", sentence, table, charts.lines(lines, "per_s", span_s))


def _sampled(*columns: Sequence[float]) -> list[tuple[float, ...]]:
    """At most 100 rows of a long timeline: of every interval the highest middle case, so no peak is lost."""
    rows = list(zip(*columns, strict=True))
    width = -(-len(rows) // TABLE_ROWS)
    return [max(rows[lo : lo + width], key=lambda row: row[1]) for lo in range(0, len(rows), max(width, 1))]


# --- chips -------------------------------------------------------------------------------------------------------


# --- quota, cache, cost ------------------------------------------------------------------------------------------


def _quota_panel(plan: Plan, numbers: list[Number]) -> Panel:
    needs = [(supply, quota) for supply in plan.supplies for quota in supply.quotas]
    if not needs:
        return Panel("Needed against granted", "No quota applies: every model runs on self-hosted chips.")
    rows = [_quota_row(supply, quota, numbers) for supply, quota in needs]
    columns = (
        "Model", "Region", "Kind", "By reservation p95", "By settlement p95", "At the service level", "Granted",
        "First short",
    )  # fmt: skip
    table = Table("Quota at the peak, both readings", columns, rows, text_columns=(0, 1, 2, 7))
    known = [(supply, quota) for supply, quota in needs if quota.counts]
    short = quota_short(plan)
    missing = len([q for _, q in needs if q.granted is None])
    sentence = f"Short: {'; '.join(short)}." if short else "No granted quota binds."
    doubted = list(dict.fromkeys(quota.kind for _, quota in needs if quota.in_doubt))
    if doubted:
        sentence += (
            f" {', '.join(doubted)} may not be enforced: AWS's pages disagree, and only your account's quotas decide."
        )
    if missing:
        sentence += f" For {missing} of {len(needs)} no grant is known: read your account's before the event."
    if not known:
        return Panel("Needed against granted", sentence, table)
    shares = {
        f"{s.model} {q.kind}, {s.region}": [
            ("by reservation", q.needed_reservation.p95 / q.granted),
            ("by settlement", q.needed_settlement.p95 / q.granted),
        ]
        for s, q in known
        if q.granted
    }
    return Panel("Needed against granted", sentence, table, charts.ranges(shares, "times", Limit(1.0, "granted")))


def _account_panels(plan: Plan, numbers: list[Number]) -> list[Panel]:
    """Limits that are no one model's, where any is known; nothing otherwise."""
    if not plan.account_needs:
        return []
    rows: list[list[Cell]] = []
    for need in plan.account_needs:
        where = {"region": need.region, "kind": need.kind}
        p95, ask = find(numbers, "account_needed", **where, level="p95"), find(numbers, "account_ask", **where)
        rows.append([need.kind, need.region, p95, ask, find(numbers, "account_granted", **where), need.source])
    columns = ("Limit", "Region", "Needed, p95 of demand", "At the service level", "Granted", "Source")
    table = Table("Limits of the account", columns, rows, text_columns=(0, 1, 5))
    short = [need.sentence for need in plan.account_needs if need.ask > need.granted]
    words = f"Short: {'; '.join(short)}." if short else "None of them binds at the service level."
    return [Panel("Limits of the account and of the agent's runtime", words, table)]


def quota_short(plan: Plan) -> list[str]:
    """One phrase per model and kind that falls short: where, and from when on; then limits that are no model's."""
    span_s = max((d.offset_s[-1] for d in plan.demand if d.offset_s), default=0.0)
    short: dict[tuple[str, str], list[tuple[float, str, float]]] = {}
    for supply in plan.supplies:
        for quota in supply.quotas:
            if quota.binds_at_offset_s is not None and not quota.in_doubt:
                short.setdefault((supply.model, quota.kind), []).append(
                    (quota.binds_at_offset_s, supply.region, quota.ask)
                )
    return [
        f"{model} {kind} in {', '.join(f'{region} ({ask:,.0f} to ask for)' for _, region, ask in places)}, "
        f"from {clock(min(places)[0], span_s)} on"
        for (model, kind), places in short.items()
    ] + [need.sentence for need in plan.account_needs if need.ask > need.granted]


def _quota_row(supply: SupplyPlan, quota: QuotaNeed, numbers: list[Number]) -> list[Cell]:
    where = {"region": supply.region, "model": supply.model, "kind": quota.kind}
    binds = "never" if quota.binds_at_offset_s is None else clock(quota.binds_at_offset_s, HOUR_S)
    binds = "may not be enforced" if quota.in_doubt else binds
    return [
        supply.model,
        supply.region,
        quota.kind,
        find(numbers, "quota_needed_reservation", **where, level="p95"),
        find(numbers, "quota_needed_settlement", **where, level="p95"),
        find(numbers, "quota_ask", **where),
        find(numbers, "quota_granted", **where) or "not known",
        binds if quota.granted is not None else "not known",
    ]


def _hit_panel(plan: Plan, numbers: list[Number]) -> Panel:
    hits = [number for number in numbers if number.name == "cache_hit_token_ratio"]
    if not hits:
        return Panel("Hit rate by level", "The plan holds no hit rates.")
    models = list(dict.fromkeys(dict(number.labels)["model"] for number in hits))
    levels = [
        level
        for level in ("all", "shared", "customer", "conversation")
        if any(dict(n.labels)["level"] == level for n in hits)
    ]
    by_level = {(dict(n.labels)["model"], dict(n.labels)["level"]): n for n in hits}
    rows: list[list[Cell]] = [[model, *[by_level.get((model, level)) for level in levels]] for model in models]
    marks = {
        model: [(level, by_level[model, level].value or 0.0) for level in levels if (model, level) in by_level]
        for model in models
    }
    best = max(hits, key=lambda n: n.value or 0)
    sentence = (
        f"Share of input tokens read from cache, by level of the prompt; highest: {best.label.split(', ', 1)[1]} "
        f"with {best.text}."
    )
    return Panel(
        "Hit rate by level", sentence, Table("Hit rates", ("Model", *levels), rows), charts.ranges(marks, "ratio")
    )
