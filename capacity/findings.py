"""What a reader should be told first: what breaks first, what was turned down and why, and what not to trust."""

from __future__ import annotations

from collections.abc import Sequence

from capacity.case import Case
from capacity.plan import PlanError, QuotaNeed, Sensitivity, SupplyPlan, TurnedDown
from capacity.prices import stale_warning


def assumptions_first(ranked: Sequence[Sensitivity]) -> tuple[str, ...]:
    """The three inputs that move the plan most, each with what they do."""
    told: dict[str, str] = {}
    for item in ranked:
        effect = f"{item.output.replace('_usd', '')} {_short(item.at_low)} .. {_short(item.at_high)} {item.unit}"
        told[item.input] = f"{told[item.input]}; {effect}" if item.input in told else f"{item.input}: {effect}"
    return tuple(list(told.values())[:3])


def what_breaks_first(supplies: Sequence[SupplyPlan]) -> str:
    """The limit with the least room at the p90 peak, over every model and region."""
    worst = max((_pressure(supply) for supply in supplies), default=None)
    if worst is None:
        return "nothing was sized"
    return worst[1]


def _pressure(supply: SupplyPlan) -> tuple[float, str]:
    """Need over limit at p90, and the sentence that says so."""
    where = f"{supply.model} in {supply.region}"
    if supply.supply == "bedrock":
        shares = [
            (max(n.needed_settlement.p90, n.needed_reservation.p90) / n.granted, n) for n in supply.quotas if n.granted
        ]
        if not shares:
            return 0.0, f"{where}: no quota figure"
        share, need = max(shares, key=lambda row: row[0])
        return share, f"{where}: {_quota_sentence(share, need)}"
    chosen = supply.chosen
    if chosen is None:
        return float("inf") if supply.calls_per_s.p50 else 0.0, f"{where}: nothing serves it ({supply.binding})"
    peak = chosen.utilisation_ratio.mid * supply.calls_per_s.p90 / max(supply.calls_per_s.p50, 1e-12)
    return peak, f"{where}: {chosen.binding} breaks when demand passes {1 / max(peak, 1e-12):.2f} x its p90 peak"


def _quota_sentence(share: float, need: QuotaNeed) -> str:
    when = ""
    if need.binds_at_offset_s is not None:
        when = f", first at {need.binds_at_offset_s / 3600:.1f} h into the event"
    needed = max(need.needed_settlement.p90, need.needed_reservation.p90)
    return f"{need.kind} of {needed:,.0f} needed at p90 against {need.granted:,.0f} granted ({share:.2f} x){when}"


def turned_down(supplies: Sequence[SupplyPlan]) -> tuple[TurnedDown, ...]:
    """Every alternative that was looked at and lost, each once."""
    lost = {}
    for supply in supplies:
        for option in supply.options:
            if option.turned_down is not None:
                lost[f"{supply.model} on {option.chip} in {supply.region}"] = option.turned_down
    reserved = "their term is not stated; a commitment is charged for its whole term, so they are off"
    rows = [TurnedDown(what, why) for what, why in lost.items()]
    if any(supply.options for supply in supplies):
        rows.append(TurnedDown("reserved instance prices", reserved))
    return tuple(rows)


def warnings(case: Case, supplies: Sequence[SupplyPlan], sized: Sequence[str], now_utc: str) -> tuple[str, ...]:
    """Everything that makes a number here weaker than it looks."""
    told = list(dict.fromkeys(sized))
    if not case.measured:
        told.append("tokens, turns and routes are assumed: no run was given; rehearse with `peakday run`")
    elif case.calls_simulated:
        told.append("tokens and routes come from stand-ins (SIMULATED); measure on the real models before ordering")
    if case.scenario.assistant.max_tokens is None:
        told.append("max_tokens is unset: each call reserves the model's maximum from its quota; set it first")
    for supply in supplies:
        told += [
            f"{supply.model} in {supply.region}: ask for {need.needed_reservation.p95:,.0f} {need.kind} "
            f"(granted {need.granted:,.0f}); increases take days, so ask weeks before"
            for need in supply.quotas
            if need.binds_at_offset_s is not None and need.granted is not None
        ]
    dates = {case.prices.models[s.model].prices for s in supplies} - {None}
    told += [w for p in dates if p is not None and (w := stale_warning(p.source_date, now_utc, p.price_key))]
    for kind in {s.chosen.instance_type for s in supplies if s.chosen}:
        if stale := stale_warning(case.prices.instances[kind].price_date, now_utc, kind):
            told.append(stale)
    return tuple(told)


def refuse_order(plan_simulated: bool, simulated_inputs: Sequence[str]) -> None:
    """Raise `PlanError` when a plan may not be ordered from: a simulated input touched it."""
    if plan_simulated:
        raise PlanError(
            f"not for an order: simulated inputs ({', '.join(simulated_inputs)}); "
            "measure them on the real models, then plan again"
        )


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
