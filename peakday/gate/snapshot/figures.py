"""Snapshot figures: those that no clock touches must equal the baseline's, or be accepted by a person."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from capacity.plan import Plan
from facts.tokens import TOKEN_CLASSES
from host.json_values import items, number, objects, text, whole
from peakday.gate.verdicts import Line, Moment, Verdict

Row = Mapping[str, object]
Figures = dict[str, float | str]

USD_DIGITS = 9
ERROR = "error "
"""How the end of a turn begins that was not answered."""
CHANGED = "changed"
"""How the reason of a difference begins whose cause its own name does not tell."""
GATE = "exact"
NO_MARGINS: Mapping[str, float] = {}


def figures(rows: Sequence[Row]) -> Figures:
    """What the scripted turns used, as flat figures: turns, tokens by class, calls, tools, routes, prefixes, cost."""
    calls = [call for row in rows for call in objects(row["calls"])]
    answers = [call for call in calls if call["purpose"] != "route"]
    known: Figures = {"turns": len(rows)}
    known |= {name: sum(number(call[name]) for call in calls) for name in TOKEN_CLASSES}
    input_tokens = sum(known[name] for name in TOKEN_CLASSES[:-1])  # type: ignore[misc]
    known["cache_hit_token_ratio"] = round(known["cache_read_tokens"] / input_tokens, 6) if input_tokens else 0.0  # type: ignore[operator]
    known["model_calls"] = len(calls)
    known["model_calls_per_turn"] = round(len(answers) / len(rows), 6) if rows else 0.0
    known["tool_rounds"] = sum(len({tool[0] for tool in tools_of(row)}) for row in rows)
    known["tools_side_by_side"] = sum(whole(row.get("tools_side_by_side")) for row in rows)
    known["prompt_prefix_hash"] = " ".join(sorted({text(call["prefix_hash"]) for call in calls if call["prefix_hash"]}))
    known["cost_usd"] = round(math.fsum(number(call["cost_usd"]) for call in calls), USD_DIGITS)
    known["citations"] = sum(whole(row["citations"]) for row in rows)
    for name, counts in _counts(rows).items():
        known |= {f"{name}.{key}": count for key, count in sorted(counts.items())}
    return known


def _counts(rows: Sequence[Row]) -> dict[str, Counter[str]]:
    return {
        "routes": Counter(str(row["route"]) for row in rows),
        "router_stages": Counter(str(row["router_stage"]) for row in rows),
        "tools": Counter(str(tool[1]) for row in rows for tool in tools_of(row)),
        "prefetch": Counter(str(name) for row in rows for name in items(row["prefetch"])),
        "ends": Counter(str(row["end"]) for row in rows),
    }


def tools_of(row: Row) -> list[list[object]]:
    """The tools of a turn, each as [round, name, status]; none where the system does not tell."""
    return [tool for tool in items(row["tools"]) if isinstance(tool, list)]


def plan_figures(plan: Plan) -> Figures:
    """Chips and cost of a plan made from a fixed seed and no measurement."""
    known: Figures = {}
    for supply in plan.supplies:
        for option in (option for option in supply.options if option.rejected is None):
            known[f"plan.chips.{supply.region}.{supply.model}.{option.chip}"] = option.chips.p50
    for line in plan.cost:
        if line.intent == "all":
            known["plan.cost_usd_per_interaction"] = float(f"{line.per_interaction_usd.mid:.9g}")
    known["plan.cost_usd_of_event"] = float(f"{plan.event_cost_usd.mid:.9g}")
    return known


def answered(rows: Sequence[Row]) -> int:
    """Turns that ended with an answer."""
    return sum(not str(row["end"]).startswith(ERROR) for row in rows)


def compare(
    baseline: Figures,
    candidate: Figures,
    *,
    repeated: Figures | None = None,
    baseline_repeated: Figures | None = None,
    margins: Mapping[str, float] = NO_MARGINS,
) -> list[Line]:
    """One line per figure that differs, or one that says that all are equal.

    Args:
        repeated: the candidate's figures of a second drive. Where the two disagree the figure is not reproducible,
            so it says nothing about the change.
        baseline_repeated: the same of the baseline, where it was driven too.
        margins: figure -> share by which it may differ either way.
    """
    lines = [*_lines(baseline, candidate, (baseline_repeated or baseline, repeated or candidate), margins)]
    if lines:
        return lines
    return [Line(GATE, "all figures", Verdict.PASS, f"{len(candidate)} figures equal the baseline's")]


def unsteady(first: Figures, second: Figures, margins: Mapping[str, float] = NO_MARGINS) -> list[Line]:
    """A line for each figure that two drives of the same code disagree about."""
    names = sorted(first.keys() | second.keys())
    return [
        _not_reproducible(name, first, second)
        for name in names
        if not _alike(first.get(name), second.get(name), margins.get(name, 0.0))
    ]


def _alike(old: float | str | None, new: float | str | None, margin: float) -> bool:
    change = _change(old, new)
    return old == new or (change is not None and abs(change) <= margin)


def _not_reproducible(name: str, first: Figures, second: Figures) -> Line:
    why = f"two drives of the same code gave {first.get(name)} and {second.get(name)}: not reproducible here"
    if name in (*TOKEN_CLASSES, "cost_usd", "cache_hit_token_ratio"):
        why += f"; where that is its nature, `snapshot: {{margins: {{{name}: 0.1}}}}` in checks.yaml allows it"
    return Line(GATE, name, Verdict.INCONCLUSIVE, why, first.get(name), second.get(name))


def _lines(
    baseline: Figures, candidate: Figures, again: tuple[Figures, Figures], margins: Mapping[str, float]
) -> Iterator[Line]:
    for name in sorted(baseline.keys() | candidate.keys()):
        old, new, margin = baseline.get(name), candidate.get(name), margins.get(name, 0.0)
        if _alike(old, new, margin):
            continue
        for first, second in ((baseline, again[0]), (candidate, again[1])):
            if not _alike(first.get(name), second.get(name), margin):
                yield replace(_not_reproducible(name, first, second), baseline=old, candidate=new)
                break
        else:
            yield Line(GATE, name, Verdict.FAIL, _why(name, old, new), old, new, _change(old, new))


def _change(old: float | str | None, new: float | str | None) -> float | None:
    numbers = isinstance(old, int | float) and isinstance(new, int | float)
    return new / old - 1 if numbers and old else None  # type: ignore[operator]


def _why(name: str, old: float | str | None, new: float | str | None) -> str:
    if new is None:
        return "vanished: the baseline has it and this build does not; --accept if that is meant"
    if old is None:
        return "new: the baseline does not have it; --accept if that is meant"
    if name == "prompt_prefix_hash":
        return "the shared part of the prompt changed: every provider cache starts cold at the roll-out"
    if name in ("cache_read_tokens", "cache_hit_token_ratio") and new < old:  # type: ignore[operator]
        return "fewer tokens are read from the prompt cache: a point moved, or text that varies stands before it"
    if name == "input_tokens" and new > old:  # type: ignore[operator]
        return "prompts are longer; --accept if that is meant"
    if name == "model_connections":
        lost = ": keep-alive was lost" if new > old else ""  # type: ignore[operator]
        return f"connections opened to the models{lost}"
    if name == "tools_side_by_side" and new < old:  # type: ignore[operator]
        return "tools of one round that ran at the same time now wait for each other"
    if name == "tool_rounds" and new > old:  # type: ignore[operator]
        return "tools that went side by side in one round now go one after another"
    return f"{CHANGED}; --accept if that is meant"


def turns_line(moments: Sequence[Moment], again: Sequence[Moment]) -> Line | None:
    """A line where turns went another way though no total moved: two changes that cancel are two changes.

    Args:
        again: moments of the second drive; a turn that is not the same in both is not reproducible.
    """
    stand = [moment for moment in moments if moment in again]
    if not moments:
        return None
    first = (stand or moments)[0]
    what = f"{len(stand or moments)} scripted turns, {first['turn']} first ({first['changes'][0][0]})"
    if not stand:
        return Line(GATE, "turns", Verdict.INCONCLUSIVE, f"{what} changed in one drive of two: not reproducible here")
    return Line(GATE, "turns", Verdict.FAIL, f"{what}, went another way though no total moved; --accept if meant")


def changed_moments(
    baseline: Sequence[Row], candidate: Sequence[Row], margins: Mapping[str, float] = NO_MARGINS
) -> list[Moment]:
    """Turns that differ, each with what differs.

    Figures with a margin are held by their totals alone: of a turn they are no change.
    """
    old = {row["turn"]: row for row in baseline}
    new = {row["turn"]: row for row in candidate}
    moments: list[Moment] = []
    for name in [*old, *(name for name in new if name not in old)]:
        changes = [*_changes(old.get(name), new.get(name), margins)]
        if changes:
            row = new.get(name) or old[name]
            moments.append({"turn": name, "message": row["message"], "changes": changes})
    return moments


def _changes(old: Row | None, new: Row | None, margins: Mapping[str, float]) -> Iterator[list[object]]:
    if old is None or new is None:
        yield ["turn", "-" if old is None else "asked", "-" if new is None else "asked"]
        return
    for key in sorted((old.keys() | new.keys()) - {"calls"}):
        if old.get(key) != new.get(key):
            yield [key, old.get(key), new.get(key)]
    calls, now = objects(old["calls"]), objects(new["calls"])
    if len(calls) != len(now):
        yield ["model calls", len(calls), len(now)]
    for place, (before, after) in enumerate(zip(calls, now, strict=False)):
        for key in sorted((before.keys() | after.keys()) - margins.keys()):
            if before.get(key) != after.get(key):
                yield [f"call {place} {key}", before.get(key), after.get(key)]
