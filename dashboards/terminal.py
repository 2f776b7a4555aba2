"""The lines a command prints when it is done, from the same numbers as every page."""

from __future__ import annotations

from collections.abc import Sequence

from capacity.plan import Plan
from dashboards.html.plan.page import quota_short
from dashboards.html.run.load import check_sentences
from dashboards.html.run.page import limit_sentence, run_warnings, verdict_banner
from dashboards.numbers.decisions import decisions
from dashboards.numbers.errors import error_kinds
from dashboards.numbers.plan import over_seeds, plan_numbers
from dashboards.numbers.run import METRICS, Number, find, run_numbers
from dashboards.numbers.slo import slo_results
from dashboards.numbers.units import show
from dashboards.numbers.warnings import at_most, by_weight
from dashboards.order.verdict import order_verdict
from loadgen.record import Run
from wire.text import Untrusted

_TITLE_WIDTH = 13


def run_summary(run: Run) -> str:
    """Everything a terminal says of a run: the answer, then the details."""
    return f"{run_answer(run)}\n{run_details(run)}"


def run_answer(run: Run) -> str:
    """What the run comes to: verdict, turns, SLOs, TTFT, cost, first limit; then at most three warnings by weight."""
    numbers = run_numbers(run)
    banner = verdict_banner(run.info)
    head = f"Run {run.run_id}  {run.info.scenario_name}, seed {'?' if run.info.seed is None else run.info.seed}"
    first = next(iter(run.info.what_broke_first or ()), None)
    lines = [
        head,
        f"  {banner.word}: {banner.text}",
        *[f"    - {reason}" for reason in banner.reasons],
        _line("turns", [*(_pair(numbers, name, word) for name, word in _COUNTS), _resent(numbers)]),
        *_slo_lines(run, numbers),
        _latency(numbers, "ttft_s"),
        _line("token cost", [_pair(numbers, name, word) for name, word in _COSTS]),
        _line("first limit", [f"exceeded: {limit_sentence(first)}" if first else "none exceeded on record"]),
        _line("errors", [_error_words(run)]),
    ]
    if run.info.simulated:
        names = ", ".join(run.info.simulated)
        lines.append(_line("SIMULATED", [f"{names}: these rehearse the system, they measure no real model"]))
    return _printed([*lines, *_warning_lines(run_warnings(run.info))])


def run_details(run: Run) -> str:
    """The rest of a run's numbers: rates, latencies, cache, purchases by price, and the checks on the run itself."""
    numbers = run_numbers(run)
    lines = [
        _line("rate", [_pair(numbers, name, word) for name, word in _RATES]),
        *[_latency(numbers, metric) for metric in ("e2e_s", "tpot_s", "start_lag_s")],
        _line("cache", [_pair(numbers, "cache_hit_token_ratio", word, level=level) for level, word in _LEVELS]),
        *[_line("auto-buy" if i == 0 else "", parts) for i, parts in enumerate(_autobuy(numbers)) if any(parts)],
        *[_line("" if i else "checks", [text]) for i, (_, text) in enumerate(check_sentences(run.info))],
    ]
    return _printed(lines)


def _printed(lines: Sequence[str]) -> str:
    return "\n".join(Untrusted(line).terminal for line in lines if line)


def lines_of(summary: str, labels: Sequence[str]) -> list[str]:
    """The lines of a summary under these labels, in its order; a line without a label is under the one before."""
    chosen, keep = [], False
    for line in summary.splitlines():
        label = line[: _TITLE_WIDTH + 2].strip() if line.startswith("  ") and not line.startswith("    ") else None
        if label:
            keep = label in labels
        if keep and line.startswith("  "):
            chosen.append(line)
    return chosen


ERRORS_SHOWN = 5


def _error_words(run: Run) -> str:
    """Codes with their counts, most often first, and what was said of the first: `http_error, 500 x 60: no model`."""
    kinds = error_kinds(run)
    shown = [f"{Untrusted(kind.words).label} x {kind.count:,}" for kind in kinds[:ERRORS_SHOWN]]
    if kinds and kinds[0].said:
        shown[0] += f": {Untrusted(kinds[0].said).terminal}"
    return ", ".join([*shown, *([f"{len(kinds) - ERRORS_SHOWN} more kinds"] if len(kinds) > ERRORS_SHOWN else [])])


def _slo_lines(run: Run, numbers: list[Number]) -> list[str]:
    """Each SLO: limit, measured with its interval, result, and what it rests on."""
    lines = []
    for place, item in enumerate(slo_results(run, numbers)):
        around = f" ({item.interval})" if item.interval else ""
        text = f"{item.slo.name} {item.limit}: {item.result}, {item.value}{around}; {item.evidence}"
        lines.append(_line("" if place else "SLO", [text]))
    return lines


_COUNTS = (
    ("asked", "offered"),
    ("sent", "sent"),
    ("completed", "completed"),
    ("failed", "failed"),
    ("abandoned", "abandoned"),
    ("dropped", "dropped"),
    ("censored", "still running"),
)
_RATES = (
    ("achieved_rate_per_s", "turns"),
    ("interactions_per_s", "interactions"),
    ("output_tokens_per_s", "output tokens"),
    ("goodput_per_s", "turns within every SLO"),
    ("error_ratio", "errors"),
)
_LEVELS = (
    ("all", "of input tokens read"),
    ("shared", "shared"),
    ("customer", "customer"),
    ("conversation", "conversation"),
)
_COSTS = (("cost_usd_per_interaction", "per interaction"), ("cost_usd_per_turn", "per turn"), ("cost_usd", "the run"))


def plan_summary(plan: Plan) -> str:
    """Everything a terminal says of a plan: the answer, then the details."""
    return f"{plan_answer(plan)}\n{plan_details(plan)}"


def plan_answer(plan: Plan) -> str:
    """What the plan comes to: first limit, what it carries, chips, quotas short, cost; then at most three warnings."""
    numbers = plan_numbers(plan)
    lines = [
        f"Plan {plan.plan_id}  {plan.scenario.name}, seed {plan.seed}",
        _line("first limit", [plan.first_limit_exceeded]),
        *_service_lines(plan),
        *_chip_lines(plan, numbers),
        *_quota_lines(plan),
        _line(
            "cost",
            [
                _ranged(find(numbers, "cost_usd_per_interaction", intent="all"), "per interaction, chips included"),
                _at_list(numbers, "cost_usd_per_interaction", "cost_usd_per_interaction_list", intent="all"),
            ],
        ),
        _line(
            "event",
            [
                _ranged(find(numbers, "event_cost_usd"), "in all"),
                _at_list(numbers, "event_cost_usd", "event_cost_list_usd"),
            ],
        ),
        _line("order", [order_verdict(plan).sentence]),
    ]
    if plan.simulated:
        lines.append(_line("SIMULATED", ["an input touched these: never order from them"]))
    return _printed([*lines, *_warning_lines(plan.warnings)])


def plan_details(plan: Plan) -> str:
    """The rest: what falls short alone, assumptions, peaks, hits, tails of cost, decisions, and what inputs are."""
    numbers = plan_numbers(plan)
    alone = [plan.service.odds] if plan.service is not None else []
    lines = [
        _line("P(short)", alone),
        *[_line("assumes" if i == 0 else "", [text]) for i, text in enumerate(plan.assumptions_with_most_effect[:3])],
        *[_line("peak" if i == 0 else "", [_peak(demand.region, numbers)]) for i, demand in enumerate(plan.demand)],
        *_hit_lines(numbers),
        _line("cost tail", [_pair(numbers, f"cost_usd_per_interaction_{q}", q, intent="all") for q in ("p95", "p99")]),
        *_decision_lines(plan),
        _line("inputs", [_provenance_words(plan)]),
    ]
    return _printed(lines)


def _at_list(numbers: list[Number], net: str, listed: str, **labels: str) -> str:
    """The same at list prices; nothing where the plan does not hold it, or nothing is discounted."""
    paid, public = find(numbers, net, **labels), find(numbers, listed, **labels)
    if paid is None or public is None or not paid.value or public.value is None:
        return ""
    if abs(public.value / paid.value - 1) < 1e-9:
        return ""
    return f"net; {show(public.value, 'usd')} at list prices"


# --- lines -------------------------------------------------------------------------------------------------------


def _line(title: str, parts: Sequence[str]) -> str:
    """One line under a title, or nothing when it would be empty."""
    text = "  ".join(part for part in parts if part)
    mark = "  *SIMULATED" if "*" in text else ""
    return f"  {title:<{_TITLE_WIDTH}}{text}{mark}" if text else ""


def _marked(number: Number) -> str:
    return f"{number.text}*" if number.simulated else number.text


def _pair(numbers: list[Number], name: str, word: str, **labels: str) -> str:
    number = find(numbers, name, **labels)
    return f"{_marked(number)} {word}" if number else ""


def _resent(numbers: list[Number]) -> str:
    """Requests that were sent twice, where any was."""
    number = find(numbers, "resent")
    return f"{_marked(number)} sent twice" if number and number.value else ""


def _ranged(number: Number | None, words: str) -> str:
    if number is None:
        return ""
    around = f" ({number.interval})" if number.interval else ""
    return f"{_marked(number)} {words}{around}"


def _autobuy(numbers: list[Number]) -> list[list[str]]:
    """What automatic purchases a storm set off, and what it did to the chat."""
    delays = [find(numbers, f"autobuy_delay_s_{name}") for name in ("p50", "p99")]
    bought = [
        _pair(numbers, "autobuy_purchases", "purchases"),
        _pair(numbers, "autobuy_double_purchases", "double"),
        _pair(numbers, "autobuy_waiting", "matched and waiting"),
        *[f"delay {n.label.split()[-1]} {_marked(n)}" for n in delays if n and not n.hidden],
    ]
    chat = [
        f"chat TTFT {share} moved {_marked(change)} by the rule storm ({before.text} to {after.text})"
        for share in ("p50", "p95")
        if (change := find(numbers, f"storm_ttft_change_ratio_{share}"))
        and (before := find(numbers, f"storm_ttft_s_{share}", side="before"))
        and (after := find(numbers, f"storm_ttft_s_{share}", side="after"))
    ]
    purchases = find(numbers, "autobuy_purchases")
    return [bought if purchases and purchases.value else [], chat]


def _latency(numbers: list[Number], metric: str) -> str:
    """p50, p95 and, where its tail is carried by enough samples, p99."""
    shown = [find(numbers, f"{metric}_{name}") for name in ("p50", "p95", "p99")]
    parts = [
        f"{n.label.split()[-1]} {_marked(n)}" + (f" ({n.interval})" if n.interval else "")
        for n in shown
        if n and not n.hidden
    ]
    return _line(METRICS[metric].split(" ")[0] if metric in ("ttft_s", "e2e_s", "tpot_s") else "start lag", parts)


def _peak(region: str, numbers: list[Number]) -> str:
    levels = [find(numbers, "peak_interactions_per_s", region=region, level=level) for level in ("p50", "p90", "p95")]
    return f"{region}: " + ", ".join(f"{n.label.split()[-1]} {_marked(n)}" for n in levels if n) + " interactions"


def _chip_lines(plan: Plan, numbers: list[Number]) -> list[str]:
    lines: list[str] = []
    for supply in plan.supplies:
        option = supply.chosen
        if option is None:
            continue
        chips = find(numbers, "chips", region=supply.region, model=supply.model, chip=option.chip)
        text = f"{supply.model}, {supply.region}: {_ranged(chips, f'{option.chip} bought')}"
        instances = f"{show(option.bought_instances, 'instances')} x {option.instance_type}"
        words = [f"{text}, {instances}; bound by {option.binding} [{option.chips_range.provenance}]"]
        if way := option.overflow:
            words[0] += (
                f"; {way.calls_ratio:.0%} of calls, {show(way.usd, 'usd')} in the mean, beyond it on {way.target}"
            )
        lines.append(_line("" if lines else "chips", words))
    return lines


def _quota_lines(plan: Plan) -> list[str]:
    short = quota_short(plan)
    if not short:
        return [_line("quota", ["no granted quota binds"] if any(s.quotas for s in plan.supplies) else [])]
    return [_line("" if i else "quota", [f"short: {text}"]) for i, text in enumerate(short)]


def _decision_lines(plan: Plan) -> list[str]:
    """The first finding of each kind that would change a decision."""
    first = {item.kind: item.sentence for item in reversed(decisions(plan)) if item.changes}
    kinds = [kind for kind in dict.fromkeys(item.kind for item in decisions(plan)) if kind in first]
    return [_line("" if i else "decide", [first[kind]]) for i, kind in enumerate(kinds)]


def _warning_lines(warnings: Sequence[str]) -> list[str]:
    return [
        _line("" if i else "warning", [text]) for i, text in enumerate(at_most(by_weight(warnings), "in the report"))
    ]


def _service_lines(plan: Plan) -> list[str]:
    """The one probability: what is bought carries a stated share of the joint draws."""
    if plan.service is None:
        return []
    service = plan.service
    what = f"fleets, quota asks and a budget of {show(service.budget_usd, 'usd')}{over_seeds(service)} at once"
    carries = f"{service.level:.0%} of joint draws ({service.why}) in {what}; P(short) {service.short.words}"
    lines = [_line("carries", [carries])]
    return lines + [_line("NOT SERVED" if not i else "", [text]) for i, text in enumerate(plan.not_served)]


def _hit_lines(numbers: list[Number]) -> list[str]:
    """Hit ratios with their range."""
    hits = [n for n in numbers if n.name == "cache_hit_token_ratio" and dict(n.labels).get("level") == "all"]
    lines = []
    for i, n in enumerate(hits):
        lines.append(_line("" if i else "cache", [f"{dict(n.labels)['model']}: {_ranged(n, 'of input tokens read')}"]))
    return lines


def _provenance_words(plan: Plan) -> str:
    counts: dict[str, int] = {}
    for note in plan.inputs:
        counts[note.provenance] = counts.get(note.provenance, 0) + 1
    return ", ".join(f"{count} {name.upper() if name == 'simulated' else name}" for name, count in counts.items())
