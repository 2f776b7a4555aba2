"""order.csv: what to book and which quotas to ask for, a line each, with the evidence that it rests on."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime, time, timedelta
from itertools import pairwise
from pathlib import Path

from capacity.plan import Plan
from capacity.rows.fleet import ChipOption, SupplyPlan
from dashboards.order.quotas import ACCOUNT_NAMES, QuotaAsk, quota_asks
from dashboards.order.verdict import BLOCK, order_verdict, unbookable
from facts.account import Held
from facts.model_names import base_id
from facts.reader import instances, models
from facts.supply import supply_limits
from host.atomic import write_text
from host.tables import csv_text
from wire.text import Untrusted

BOOK_DAYS_BEFORE = 21
ASK_DAYS_BEFORE = 42
"""Expert estimates, not published: a Capacity Block is sold up to eight weeks ahead and sells out; a quota increase
takes one to three business days once it is understood, and may need a second round (docs/rehearsal.md)."""
LATE = "its date is past"
BY_THE_HOUR = "by the hour"
BLOCK_ENDS = time(11, 30, tzinfo=UTC)
"""All Capacity Blocks end at 11:30 UTC (EC2 user guide, find and purchase Capacity Blocks)."""
DAY = timedelta(days=1)


@dataclass(frozen=True)
class Occasion:
    """When it happens, and what else is known of the account.

    long_ratio: share of a model's requests with a long prompt, where a run tells it. busiest_rpm: the busiest minute
    of (model, region) in the account's usage, where it was given.
    """

    start: datetime
    length_s: float
    held: Held | None = None
    long_ratio: Mapping[str, float] = field(default_factory=dict)
    busiest_rpm: Mapping[tuple[str, str], float] = field(default_factory=dict)


@dataclass(frozen=True)
class Line:
    """One line. Numbers are None where they do not apply, or where nobody measured them."""

    line: str
    model: str
    region: str
    zone: str = ""
    instance: str = ""
    purchase: str = ""
    count: int | None = None
    count_p50: float | None = None
    count_p90: float | None = None
    count_p95: float | None = None
    from_utc: str = ""
    to_utc: str = ""
    billed_hours: float | None = None
    usd_per_hour_list: float | None = None
    usd_per_hour_net: float | None = None
    usd_list: float | None = None
    usd_net: float | None = None
    act_by: str = ""
    one_step_fewer: str = ""
    quota_name: str = ""
    quota_code: str = ""
    model_id: str = ""
    held: float | None = None
    asked: float | None = None
    rpm_steady_p50: float | None = None
    rpm_peak_p90: float | None = None
    tpm_steady_p50: float | None = None
    tpm_peak_p90: float | None = None
    input_tokens_mean: float | None = None
    output_tokens_mean: float | None = None
    long_request_ratio: float | None = None
    growth_ratio: float | None = None
    run: str = ""
    bench: str = ""
    price_row: str = ""
    remark: str = ""


def write_order_sheet(plan: Plan, out: Path, occasion: Occasion) -> Path:
    """Write `order.csv`: the verdict, then lines whose counts and dollars are those of the plan's `purchase`."""
    lines = order_lines(plan, occasion)
    verdict = order_verdict(plan, late_steps(lines))
    whole = (Line(line="verdict", model="", region="", remark=verdict.sentence), *lines)
    names = [item.name for item in fields(Line)]
    write_text(out, csv_text(names, ([_cell(getattr(line, name)) for name in names] for line in whole)))
    return out


def order_lines(plan: Plan, occasion: Occasion) -> list[Line]:
    """Chips by region, model and zone; then quotas that are short or not known."""
    chips = [
        line
        for supply in plan.supplies
        if supply.chosen is not None and supply.chosen.bought_instances
        for line in _chip_lines(plan, supply, supply.chosen, occasion)
    ]
    asks = (_quota_line(plan, ask, occasion) for ask in quota_asks(plan, occasion.held))
    return [*chips, *asks, *_account_lines(plan, occasion)]


def _account_lines(plan: Plan, occasion: Occasion) -> Iterator[Line]:
    """Limits that are no one model's, where the service level passes them."""
    ask_by = occasion.start.astimezone(UTC) - ASK_DAYS_BEFORE * DAY
    for need in plan.account_needs:
        if need.ask > need.granted:
            yield Line(
                line="quota", model="", region=need.region, act_by=ask_by.date().isoformat(),
                quota_name=ACCOUNT_NAMES[need.kind], held=need.granted, asked=need.ask,
                remark="; ".join(note for note in (f"held: {need.source}", _late(plan, ask_by)) if note),
            )  # fmt: skip


def _chip_lines(plan: Plan, supply: SupplyPlan, option: ChipOption, occasion: Occasion) -> Iterator[Line]:
    zones = max(1, round(plan.rules.zones)) if plan.rules else 1
    hourly = option.usd_per_hour.mid / option.bought_instances
    listed = option.list_usd_per_hour if option.list_usd_per_hour is not None else hourly
    begin, end, remark = _held_for(option, occasion, plan.rules.hours if plan.rules else 0.0)
    book_by = begin - BOOK_DAYS_BEFORE * DAY
    for zone, count in enumerate(_shares(option.bought_instances, zones), 1):
        share = count / option.bought_instances
        yield Line(
            line="chips",
            model=supply.model,
            region=supply.region,
            zone=f"{zone} of {zones}",
            instance=option.instance_type,
            purchase=option.price_kind,
            count=count,
            count_p50=option.instances.p50 * share,
            count_p90=option.instances.p90 * share,
            count_p95=option.instances.p95 * share,
            from_utc=_stamp(begin),
            to_utc=_stamp(end),
            billed_hours=option.billed_hours,
            usd_per_hour_list=listed,
            usd_per_hour_net=hourly,
            usd_list=listed * count * option.billed_hours,
            usd_net=option.event_usd * share,
            act_by=book_by.date().isoformat(),
            one_step_fewer=_one_step_fewer(option, zones),
            run=_evidence(plan, supply.model),
            bench=f"{_benches(plan)}; step model {option.step_model}".removeprefix("; "),
            price_row=_instance_price(plan, option),
            remark="; ".join(note for note in (_cannot(plan, supply), remark, _late(plan, book_by)) if note),
        )


def _quota_line(plan: Plan, ask: QuotaAsk, occasion: Occasion) -> Line:
    ask_by = occasion.start.astimezone(UTC) - ASK_DAYS_BEFORE * DAY
    supply, busiest = ask.supply, occasion.busiest_rpm.get((ask.supply.model, ask.supply.region))
    rpm, tpm = ask.rpm, ask.tpm
    return Line(
        line="quota",
        model=supply.model,
        region=supply.region,
        act_by=ask_by.date().isoformat(),
        quota_name=ask.name,
        quota_code=ask.code,
        model_id=ask.model_id,
        held=ask.held,
        asked=ask.asked,
        rpm_steady_p50=rpm.steady_p50 if rpm else None,
        rpm_peak_p90=rpm.peak_p90 if rpm else None,
        tpm_steady_p50=tpm.steady_p50 if tpm else None,
        tpm_peak_p90=tpm.peak_p90 if tpm else None,
        input_tokens_mean=supply.input_tokens_per_call.mid,
        output_tokens_mean=supply.output_tokens_per_call.mid,
        long_request_ratio=occasion.long_ratio.get(supply.model),
        growth_ratio=rpm.peak_p90 / busiest if rpm and busiest else None,
        run=_evidence(plan, supply.model),
        bench=_benches(plan) if supply.chosen else "",
        price_row=_token_price(plan, supply.model),
        remark="; ".join(note for note in (ask.remark, _late(plan, ask_by)) if note),
    )


def _held_for(option: ChipOption, occasion: Occasion, paid_h: float) -> tuple[datetime, datetime, str]:
    """From and to, and what to check. Blocks are whole days that end at 11:30 UTC; the rest runs as it is paid."""
    start = occasion.start.astimezone(UTC)
    end = start + timedelta(seconds=occasion.length_s)
    if option.price_kind != BLOCK:
        by_hour = option.held == BY_THE_HOUR
        hours = max(paid_h if by_hour else option.billed_hours, occasion.length_s / 3600)
        remark = "by the hour: at most so many, billed_hours are the mean of one" if by_hour else ""
        return end - timedelta(hours=hours), end, remark
    days = max(1, math.ceil(option.billed_hours / 24 - 1e-9))
    last = datetime.combine(end.date(), BLOCK_ENDS)
    last = last if last >= end else last + DAY
    begin = last - days * DAY
    limit = supply_limits().get(option.instance_type)
    opens = f"can be booked from {(begin - limit.lead_days_max * DAY).date()}" if limit and limit.lead_days_max else ""
    short = (
        f"blocks end at 11:30 UTC: {days} days begin after the event does, so book {days + 1} or two blocks"
        if begin > start
        else ""
    )
    return begin, last, "; ".join(note for note in (opens, short) if note)


def _one_step_fewer(option: ChipOption, zones: int) -> str:
    """What one instance fewer in each zone gives up, between the levels of demand that the plan sized."""
    levels = option.instances
    fewer = option.bought_instances - zones
    if option.overflow is not None:
        return f"{fewer} send more than {option.overflow.calls_ratio:.0%} of calls to {option.overflow.target}"
    if option.one_fewer_short is not None:
        return f"{fewer} fall short in {option.one_fewer_short.value:.1%} of draws"
    quantile = _quantile(fewer, ((levels.p50, 0.5), (levels.p90, 0.9), (levels.p95, 0.95)))
    if quantile is None:
        return f"{fewer} carry less than the median event"
    return f"{fewer} carry the peak of {quantile:.1%} of events, not 90%: {1 - quantile:.1%} fall short"


def _quantile(count: float, points: tuple[tuple[float, float], ...]) -> float | None:
    """The level of demand that so many instances carry, on straight lines between the levels; None below the median."""
    if count < points[0][0]:
        return None
    for (low, at_low), (high, at_high) in pairwise(points):
        if count <= high:
            return at_low + (at_high - at_low) * (count - low) / (high - low) if high > low else at_high
    return points[-1][1]


def _shares(total: int, zones: int) -> list[int]:
    """Whole instances by zone, as even as can be."""
    return [total // zones + (zone < total % zones) for zone in range(zones) if total // zones + (zone < total % zones)]


def _evidence(plan: Plan, model: str) -> str:
    """The run that measured the model's calls, or the account's usage, or the assumption in their place."""
    for kind in ("run", "usage"):
        for note in plan.inputs:
            if note.kind == kind and note.name == model:
                return f"{kind} {note.source} ({note.provenance})"
    notes = [note for note in plan.inputs if note.kind == "assumption" and note.name == "tokens per call"]
    return f"no run: {notes[0].source} ({notes[0].provenance})" if notes else "no run"


def _benches(plan: Plan) -> str:
    return ", ".join(f"bench {note.name}" for note in plan.inputs if note.kind == "bench")


def _instance_price(plan: Plan, option: ChipOption) -> str:
    """The row of the list, and the contract where the plan pays another price."""
    fact = instances()[option.instance_type]
    read = fact.capacity_block_note if option.price_kind == BLOCK else fact.price_date
    row = f"facts/data/instances.csv {option.instance_type}, {option.price_kind}, {read or 'no date'}"
    return row + _net(plan, option.instance_type, option.instance_type.split(".")[0])


def _token_price(plan: Plan, model: str) -> str:
    known = models().get(model)
    if known is None or known.prices is None:
        return ""
    price = known.prices
    row = (
        f"facts/data/bedrock_prices.csv {price.price_key}, {price.source_date}: {price.input_usd_per_mtok:g} in, "
        f"{price.output_usd_per_mtok:g} out USD per million tokens"
    )
    return row + _net(plan, model, base_id(known.model_id).split(".")[0])


def _net(plan: Plan, name: str, family: str) -> str:
    """What the plan pays in place of the list, by its own inputs: an own price, or a family's discount."""
    own = [
        f"{note.value} ({note.source})"
        for note in plan.inputs
        if note.kind == "prices"
        and (note.name == f"{family} discount" or (note.name == name and note.source.startswith("own price")))
    ]
    return f"; net: {'; '.join(own)}" if own else ""


def _late(plan: Plan, by: datetime) -> str:
    made = datetime.fromisoformat(plan.created_utc.replace("Z", "+00:00"))
    return LATE if by < made else ""


def _cannot(plan: Plan, supply: SupplyPlan) -> str:
    reasons = unbookable(plan).get((supply.model, supply.region), [])
    return f"cannot be booked as planned: {'; '.join(reasons)}" if reasons else ""


def late_steps(lines: Sequence[Line]) -> tuple[str, ...]:
    """What can no longer be booked or asked for in time, in one phrase each."""
    late = [line for line in lines if LATE in line.remark]
    phrases = (
        f"{line.instance} in {line.region} was to be booked by {line.act_by}"
        if line.line == "chips"
        else f"{line.quota_name} in {line.region} was to be asked for by {line.act_by}"
        for line in late
    )
    return tuple(dict.fromkeys(phrases))


def _stamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%MZ")


def _cell(value: object) -> object:
    if value is None:
        return ""
    if isinstance(value, str):
        return Untrusted(value).cell
    return f"{value:.6f}".rstrip("0").rstrip(".") if isinstance(value, float) else value
