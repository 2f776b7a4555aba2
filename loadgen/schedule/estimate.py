"""What a run would ask for, before anything is sent: turns, tokens, dollars, quota, workers and sockets."""

from __future__ import annotations

import heapq
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from facts import reader
from facts.reader import TokenPrices
from loadgen.job import Load
from loadgen.schedule.sessions import Schedule, make_schedule
from scenarios.arrivals import read_replay
from scenarios.replay.file import read_plan
from scenarios.sessions import Interaction

TURNS_PER_WORKER_S = 250.0
"""Turns a second that one worker is trusted with before `doctor --rate` has measured this machine."""
SESSIONS_SAMPLED = 2_000


@dataclass(frozen=True)
class Estimate:
    """Expected asks of a run. Dollars are (low, mid, high); None where no priced model may answer.

    The range of dollars spans the cheapest to the dearest model of the scenario with nothing cached, and mid is the
    scenario's routes by complexity; token sizes are those of a replayed log that has them, else the scenario's own
    assumptions, and `sizes` says which.
    """

    sessions: int
    interactions: float
    turns: float
    peak_turns_per_s: float
    input_tokens: float
    output_tokens: float
    usd: tuple[float, float, float] | None
    peak_input_tokens_per_min: float
    peak_requests_per_min: float
    workers: int
    sockets: int
    sizes: str = "assumed sizes"


ASSUMED_TTFT_S, ASSUMED_TPOT_S = 1.0, 0.02
"""First token and gap of a call that no run has timed: an expert estimate, as plans have it."""


CHARACTERS_PER_TOKEN = 4.0
"""Of English prose in the tokenizers of today, roughly: an expert estimate."""


@dataclass(frozen=True)
class Bare:
    """A model that is asked itself, without an assistant around it.

    Args:
        system_characters: of its system prompt.
        tokens_max: of an answer, where a question has no limit of its own; None: no limit.
        prices: by which its record will price a call; None where it holds none.
    """

    system_characters: int = 0
    tokens_max: int | None = None
    prices: TokenPrices | None = None


def estimate(load: Load, bare: Bare | None = None) -> Estimate:
    """The estimate of a load, on a model itself where `bare`. It plans the arrivals exactly, and a sample of the
    sessions.
    """
    messages = json.loads(Path(load.messages).read_text())["messages"]
    if load.replay_file is not None:
        return _of_replay(load, load.replay_file, bare)
    plan = make_schedule(load, messages)
    tokens = dict(load.scenario["capacity"]["assumed_tokens"])
    if bare is not None:
        tokens["calls_per_turn"] = 1.0
        tokens["output_tokens"] = _answer_tokens(messages, tokens["output_tokens"], bare.tokens_max)
    seconds = tokens["output_tokens"] * 0.05 * tokens["calls_per_turn"] + 1.0
    users = load.closed_loop_users
    answer_s = tokens["calls_per_turn"] * (ASSUMED_TTFT_S + tokens["output_tokens"] * ASSUMED_TPOT_S)
    sample = _sample(plan, users, load.length_s, answer_s)
    turns = len(sample.turns) * sample.scale
    known = {message["id"]: message for message in messages}
    calls_per_turn = tokens["calls_per_turn"] if plan.lengths is None else 1.0
    calls = turns * calls_per_turn
    if plan.lengths is None:
        prompt = prompt_tokens(tokens, len(sample.turns) / max(sample.interactions, 1))
        if bare is not None:
            prompt = _bare_prompt_tokens(sample, known, bare.system_characters, tokens["output_tokens"])
        input_tokens = calls * prompt
        output_tokens = calls * tokens["output_tokens"]
    else:
        input_tokens, output_tokens = (float(part) for part in plan.lengths.sum(axis=0))
    peak = _peak_per_s(plan.offset_s) * turns / max(sample.sessions, 1) if users is None else users / answer_s
    return Estimate(
        sessions=math.ceil(sample.sessions),
        interactions=sample.interactions * sample.scale,
        turns=turns,
        peak_turns_per_s=peak,
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        usd=_dollars(load.scenario, calls, input_tokens, output_tokens, _complex_ratio(sample, known), bare),
        peak_input_tokens_per_min=peak * 60 * input_tokens / max(turns, 1.0),
        peak_requests_per_min=peak * 60 * calls_per_turn,
        workers=max(1, math.ceil(peak / TURNS_PER_WORKER_S)),
        sockets=math.ceil((peak * seconds if users is None else users) * 1.5) + 16,
        sizes=_sizes(plan, bare is not None),
    )


def _sizes(plan: Schedule, bare: bool) -> str:
    if plan.lengths is not None:
        return "sizes of the file"
    return "prompts by their characters, assumed answers" if bare else "assumed sizes"


def _answer_tokens(messages: Sequence[Mapping[str, Any]], assumed: float, tokens_max: int | None) -> float:
    """The mean answer of the messages, each as often as its weight: as assumed, or its limit where that is less."""
    weights = np.array([message.get("weight", 1.0) for message in messages], dtype=np.float64)
    limits = [message.get("max_tokens") or tokens_max or math.inf for message in messages]
    return float(np.average(np.minimum(assumed, limits), weights=weights))


def _of_replay(load: Load, file: str, bare: Bare | None) -> Estimate:
    """A replay's calls are those of its plan; what is sent of them depends on how quickly the target answers."""
    plan = read_plan(Path(file))
    calls = [call for session in plan.sessions for call in session.calls]
    tokens = load.scenario["capacity"]["assumed_tokens"]
    per_turn = 1.0 if plan.by_call else float(tokens["calls_per_turn"])
    inputs, outputs = (
        float(sum(part)) for part in zip(*((c.input_tokens, c.output_tokens) for c in calls), strict=True)
    )
    interactions = float(sum(len({call.turn for call in session.calls}) for session in plan.sessions))
    stated = any(max(call.input_tokens, call.output_tokens) > 1 for call in calls)
    if not stated:  # times alone: a message of the world's each, as an assistant answers one
        inputs = len(calls) * per_turn * prompt_tokens(tokens, interactions / len(plan.sessions))
        outputs = len(calls) * per_turn * tokens["output_tokens"]
    peak = max(_peak_per_s(np.array([session.at_s for session in plan.sessions])), len(calls) / load.length_s)
    seconds = ASSUMED_TTFT_S + outputs / len(calls) * ASSUMED_TPOT_S
    return Estimate(
        sessions=len(plan.sessions),
        interactions=interactions,
        turns=float(len(calls)),
        peak_turns_per_s=peak,
        input_tokens=inputs,
        output_tokens=outputs,
        usd=_dollars(load.scenario, len(calls) * per_turn, inputs, outputs, 0.5, bare),
        peak_input_tokens_per_min=peak * 60 * inputs / len(calls),
        peak_requests_per_min=peak * 60 * per_turn,
        workers=max(1, math.ceil(peak / TURNS_PER_WORKER_S)),
        sockets=math.ceil(peak * seconds * 1.5) + 16,
        sizes="sizes of the trace" if stated else "assumed sizes, the trace holds none",
    )


def prompt_tokens(tokens: Mapping[str, Any], turns_per_interaction: float) -> float:
    """Assumed input of one call: prefixes, half of the conversation, message and a tool's result."""
    return float(
        tokens["shared_prefix_tokens"]
        + tokens["customer_prefix_tokens"]
        + tokens["history_tokens_per_turn"] * (turns_per_interaction - 1) / 2
        + tokens["message_tokens"]
        + tokens["tool_result_tokens"]
    )


def turn_usd_max(
    scenario: Mapping[str, Any], *, assistant: bool, replayed: Path | None = None, longest: tuple[int, int] = (0, 0)
) -> float:
    """Upper bound of one turn on the dearest model: every call the limits allow, each with twice the assumed prompt and
    the longest answer; a single call where the target is a model itself. It bounds a budget; it is no estimate.

    `replayed` is an arrivals file, whose longest prompt and answer it covers too; `longest` are a trace's.
    """
    longest_prompt, longest_answer = map(max, _longest(replayed), longest)
    tokens = scenario["capacity"]["assumed_tokens"]
    limits = scenario["assistant"]["limits"]
    prompt = max(longest_prompt, 2 * (prompt_tokens(tokens, 20) + limits["message_chars"]))
    dearest = 0.0
    for model in _priced(scenario).values():
        answer = max(longest_answer, scenario["assistant"]["max_tokens"] or model.max_output_tokens)
        assert model.prices is not None
        dearest = max(dearest, model.prices.cost_usd(prompt, 0, 0, 0, answer))
    return float(dearest * (limits["calls"] if assistant else 1))


def _longest(replayed: Path | None) -> tuple[int, int]:
    """The most input and output tokens of a row of an arrivals file; 0 where it says none."""
    if replayed is None:
        return 0, 0
    log = read_replay(replayed)
    most = [0 if part is None else int(part.max(initial=0)) for part in (log.input_tokens, log.output_tokens)]
    return most[0], most[1]


@dataclass(frozen=True)
class _Sample:
    """What a run sends of some of its sessions, at the assumed pace; a turn that falls due after its end is not sent.

    Args:
        sessions: those of the whole run, which are `scale` times the sampled ones.
        turns: the place of each in its interaction, whose turns up to it are given.
    """

    sessions: float
    scale: float
    interactions: int
    turns: list[tuple[int, Interaction]]


def _sample(plan: Schedule, users: int | None, length_s: float, answer_s: float) -> _Sample:
    """Evenly spread arrivals, or the sessions that some of the users of a closed loop play one after the other."""
    turns: list[tuple[int, Interaction]] = []
    interactions = 0

    def play(index: int, now_s: float) -> float:
        """When the session's last answer has come."""
        nonlocal interactions
        for part in plan.session(index).interactions:
            now_s += part.delay_s
            interactions += now_s < length_s
            for number, turn in enumerate(part.turns):
                now_s += turn.think_s
                if now_s < length_s:
                    turns.append((number, part))
                now_s += answer_s
        return now_s

    total = len(plan.offset_s)
    if users is None:
        picked = np.unique(np.linspace(0, max(0, total - 1), min(total, SESSIONS_SAMPLED)).astype(int))
        for index in picked:
            play(int(index), float(plan.offset_s[index]))
        return _Sample(float(total), total / max(1, len(picked)), interactions, turns)
    sampled = max(1, min(users, int(SESSIONS_SAMPLED * 2 * answer_s / length_s)))
    free_s = [0.0] * sampled
    played = 0
    while free_s[0] < length_s:
        heapq.heapreplace(free_s, play(played % total, free_s[0]))
        played += 1
    return _Sample(played * users / sampled, users / sampled, interactions, turns)


def _complex_ratio(sample: _Sample, messages: Mapping[str, Mapping[str, object]]) -> float:
    """The share of complex turns."""
    hard = sum(messages[part.turns[number].message_id]["complexity"] == "complex" for number, part in sample.turns)
    return hard / max(1, len(sample.turns))


def _bare_prompt_tokens(
    sample: _Sample, messages: Mapping[str, Mapping[str, object]], system_characters: int, answer_tokens: float
) -> float:
    """Mean prompt of a turn that a model itself is asked: system prompt, and the conversation so far."""
    characters = answers = 0
    for number, part in sample.turns:
        characters += system_characters
        characters += sum(len(str(messages[turn.message_id]["text"])) for turn in part.turns[: number + 1])
        answers += number
    return (characters / CHARACTERS_PER_TOKEN + answers * answer_tokens) / max(1, len(sample.turns))


def _peak_per_s(offset_s: np.ndarray) -> float:
    """Sessions a second in the busiest ten."""
    if not len(offset_s):
        return 0.0
    counts = np.bincount((offset_s // 10).astype(int))
    return float(counts.max()) / min(10.0, max(1.0, float(offset_s[-1])))


def _priced(scenario: Mapping[str, Any]) -> dict[str, Any]:
    known = reader.models()
    return {key: known[key] for key in scenario["models"] if key in known and known[key].prices is not None}


def _dollars(
    scenario: Mapping[str, Any],
    calls: float,
    input_tokens: float,
    output_tokens: float,
    complex_ratio: float,
    bare: Bare | None,
) -> tuple[float, float, float] | None:
    """(cheapest model throughout, the policy's routes, dearest model throughout); a bare model's own price thrice."""
    if bare is not None:
        if bare.prices is None or not calls:
            return None
        own_usd = bare.prices.cost_usd(input_tokens, 0, 0, 0, output_tokens)
        return own_usd, own_usd, own_usd
    priced = _priced(scenario)
    if not priced or not calls:
        return None
    whole = {key: model.prices.cost_usd(input_tokens, 0, 0, 0, output_tokens) for key, model in priced.items()}
    policy = scenario["assistant"]["policy"]
    routed = whole.get(policy["simple"], 0.0) * (1 - complex_ratio) + whole.get(policy["complex"], 0.0) * complex_ratio
    own = policy["simple"] not in whole or policy["complex"] not in whole
    return (0.0 if own else min(whole.values()), routed, max(whole.values()))
