"""Model calls of a sample of interactions: measured in a run, or assumed from the scenario. One table for both."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from capacity.caching.provider import LEVELS, CachedCalls, read_tokens
from capacity.demand.conversations import Conversations, Names, converse, even, even_lognormal
from capacity.plan import PlanError
from capacity.simulator.requests import Floats, Ints
from facts.reader import Model
from facts.stack import CacheTtl
from loadgen.record import Run
from loadgen.tables import TURN_KEY
from scenarios.schema import AssumedTokens, Scenario

if TYPE_CHECKING:
    import pandas as pd

ASSUMED_TTFT_S, ASSUMED_TPOT_S = 1.0, 0.02
"""First token and gap of a call that no run has timed: an expert estimate, printed with the plan."""


@dataclass(frozen=True)
class Calls:
    """Calls [n] of `turn_intent` [turns] turns of `interactions` interactions. Tokens as the provider's usage has them.

    shared_tokens and customer_tokens are cumulative prefix lengths; -1 where the record does not say.
    """

    turn: Ints
    model: Names
    input_tokens: Ints  # uncached
    cache_read_tokens: Ints
    cache_write_tokens_5m: Ints
    cache_write_tokens_1h: Ints
    output_tokens: Ints
    shared_tokens: Ints
    customer_tokens: Ints
    turn_intent: Names
    turn_interaction: Ints
    interactions: int
    provenance: Mapping[str, str]  # of each model's tokens
    source: str
    latency_s: Mapping[str, float] = field(default_factory=dict)  # mean of a model's calls, where a run timed them
    lasts_s: float | None = None  # of the run that the calls were seen in
    tier: Names | None = None  # service tier each call was billed at; None: the default one throughout

    @property
    def turns(self) -> int:
        """Number of turns in the sample."""
        return len(self.turn_intent)

    @property
    def prompt_tokens(self) -> Ints:
        """All input tokens of each call, cached or not."""
        return self.input_tokens + self.cache_read_tokens + self.cache_write_tokens_5m + self.cache_write_tokens_1h

    def of(self, model: str) -> npt.NDArray[np.bool_]:
        """Mask of one model's calls, to be read only: compared once, as names are objects and compare slowly."""
        known: dict[str, npt.NDArray[np.bool_]] = self._masks
        if model not in known:
            known[model] = self.model == model
            known[model].flags.writeable = False
        return known[model]

    @cached_property
    def _masks(self) -> dict[str, npt.NDArray[np.bool_]]:
        return {}

    def per_interaction(self, model: str) -> float:
        """Mean calls of a model in one interaction."""
        return float(self.of(model).sum() / self.interactions)

    def per_calling_interaction(self, model: str) -> float:
        """Mean calls of a model in one of the interactions that call it at all; 0 where none does.

        A lost call loses this share of an interaction: those that never call the model lose nothing.
        """
        mask = self.of(model)
        calling = len(np.unique(self.turn_interaction[self.turn[mask]]))
        return float(mask.sum() / calling) if calling else 0.0


def refuse_weak_evidence(run: Run) -> None:
    """Raise `PlanError` for a run that was cut off or that its generator does not call valid."""
    if not run.info.finished:
        raise PlanError(f"{run.path}: the run was cut off; repeat it, or plan without --run")
    if not run.info.valid:
        raise PlanError(
            f"{run.path}: the run is INVALID ({'; '.join(run.info.reasons)}); repeat it, or plan without --run"
        )


def run_provenance(run: Run, model: str, supply: str) -> str:
    """Where a model's numbers in a run come from: by its own name, else by its supply."""
    supplies = run.info.provenance or {}
    return str(supplies.get(model, supplies.get(supply, "measured")))


def measured_calls(run: Run) -> Calls:
    """Every call of a run that used tokens, whatever became of its turn: a turn abandoned after two calls loaded the
    engines and the bill with both. Turns that were sent are the denominator, and their interactions.

    Raises:
        PlanError: the run is unfinished, invalid, or holds no call with its tokens.
    """
    refuse_weak_evidence(run)
    key = list(TURN_KEY)
    turns = run.turns[run.turns["status"] != "dropped"].drop_duplicates(key).reset_index(drop=True)
    turns["turn"] = np.arange(len(turns))
    turns["interaction"] = turns.groupby(key[:2], sort=False).ngroup()
    calls = run.calls.merge(turns[[*key, "turn"]], on=key)
    calls = calls[calls["input_tokens"].notna() & calls["output_tokens"].notna()]
    if calls.empty:
        raise PlanError(f"{run.path}: no call with token usage; a target must report usage to be planned from")

    def whole(name: str, unknown: int = 0) -> Ints:
        values: Floats = calls[name].to_numpy(dtype=np.float64, na_value=np.nan)
        return np.where(np.isnan(values), unknown, values).astype(np.int64)

    tier = calls["tier_resolved"].fillna(calls["tier_requested"]).fillna("default").to_numpy(dtype=object)
    supplied = calls[["model", "supply"]].drop_duplicates().itertuples(index=False)
    return Calls(
        turn=whole("turn"),
        model=calls["model"].to_numpy(dtype=object),
        input_tokens=whole("input_tokens"),
        cache_read_tokens=whole("cache_read_tokens"),
        cache_write_tokens_5m=whole("cache_write_tokens_5m"),
        cache_write_tokens_1h=whole("cache_write_tokens_1h"),
        output_tokens=whole("output_tokens"),
        shared_tokens=whole("prefix_shared_tokens", -1),
        customer_tokens=whole("prefix_customer_tokens", -1),
        turn_intent=turns["intent"].fillna("unknown").to_numpy(dtype=object),
        turn_interaction=turns["interaction"].to_numpy(dtype=np.int64),
        interactions=int(turns["interaction"].nunique()),
        provenance={str(model): run_provenance(run, str(model), str(supply)) for model, supply in supplied},
        source=f"run {run.run_id}: {len(calls):,} calls of {len(turns):,} sent turns",
        latency_s={
            str(k): float(v) for k, v in calls.dropna(subset=["e2e_s"]).groupby("model")["e2e_s"].mean().items()
        },
        lasts_s=_span_s(turns["intended_start_s"]),
        tier=None if (tier == "default").all() else tier,
    )


def _span_s(starts_s: pd.Series[float]) -> float | None:
    """Seconds from the first to the last start; None where there is no span."""
    span = float(starts_s.max() - starts_s.min())
    return span if span > 0 else None


def assumed_calls(scenario: Scenario, models: Mapping[str, Model], *, seed: int, interactions: int = 8_000) -> Calls:
    """Calls of the scenario's own sessions, routed by its policy, with `capacity.assumed_tokens`; provenance `assumed`.

    What they find cached is replayed at the median peak through the exact cache of their model and region: by content,
    think time, return and lifetime (`caching.provider`). A customer who comes in another session finds nothing of it.
    A model whose tokenizer cuts the same text into more tokens has more of each.
    """
    rng = np.random.default_rng([seed, 0xCA11])
    assumed, conversations = scenario.capacity.assumed_tokens, converse(scenario, interactions, rng)
    turns = len(conversations.interaction)
    extra = assumed.calls_per_turn - 1
    calls_of_turn = 1 + int(extra) + (even(rng, turns) < extra - int(extra))
    turn = np.repeat(np.arange(turns), calls_of_turn)
    rounds = np.arange(len(turn)) - np.repeat(np.cumsum(calls_of_turn) - calls_of_turn, calls_of_turn)
    shared = np.full(len(turn), assumed.shared_prefix_tokens)
    customer = shared + assumed.customer_prefix_tokens
    clients = scenario.demand.interactions  # a few clients may write and be answered at other lengths
    message = even_lognormal(rng, assumed.message_tokens, assumed.cv, turns)
    tool_result = even_lognormal(rng, assumed.tool_result_tokens, assumed.cv, turns)
    grown = (conversations.place * assumed.history_tokens_per_turn + message) * clients.input_tokens_ratio
    own_message = customer[0] + np.rint(grown).astype(np.int64)  # to the end of each turn's message
    prompt = own_message[turn] + np.rint(rounds * tool_result[turn] * clients.input_tokens_ratio).astype(np.int64)
    output = np.maximum(
        1, even_lognormal(rng, assumed.output_tokens * clients.output_tokens_ratio, assumed.cv, len(turn))
    )
    model_of = conversations.model[turn]
    alike = {name: _in_assumed_tokens(model) for name, model in models.items()}
    read, write = _cached(scenario, alike, conversations, turn, rounds, own_message, prompt, output, rng)
    prompt, read, write, output, shared, customer = _as_tokenized(
        models, model_of, prompt, read, write, output, shared, customer
    )
    ttl = scenario.assistant.cache_ttl
    long = np.array(["1h" in models[m].cache.ttls for m in model_of])
    one_hour: Ints = np.where(long & (write > 0), kept_one_hour(read, prompt, shared, customer, ttl), 0)
    return Calls(
        turn=turn,
        model=model_of,
        input_tokens=prompt - read - write,
        cache_read_tokens=read,
        cache_write_tokens_5m=write - one_hour,
        cache_write_tokens_1h=one_hour,
        output_tokens=output,
        shared_tokens=shared,
        customer_tokens=customer,
        turn_intent=conversations.intent,
        turn_interaction=conversations.interaction,
        interactions=conversations.interactions,
        provenance=dict.fromkeys(models, "assumed"),
        source=f"scenario {scenario.name}: capacity.assumed_tokens",
    )


def _in_assumed_tokens(model: Model) -> Model:
    """The model with its cache minimum in the tokens that the scenario assumes."""
    if model.tokenizer_ratio == 1 or model.cache.min_tokens is None:
        return model
    return replace(
        model, cache=replace(model.cache, min_tokens=math.ceil(model.cache.min_tokens / model.tokenizer_ratio))
    )


def _as_tokenized(
    models: Mapping[str, Model], model_of: Names, prompt: Ints, read: Ints, write: Ints, *others: Ints
) -> tuple[Ints, ...]:
    """Every count of each call in the tokens of its own model; unchanged where all models count alike."""
    ratios = {name: models[name].tokenizer_ratio for name in dict.fromkeys(model_of.tolist())}
    if all(ratio == 1 for ratio in ratios.values()):
        return (prompt, read, write, *others)
    ratio = np.array([ratios[name] for name in model_of])

    def scaled(values: Ints) -> Ints:
        return np.asarray(np.rint(values * ratio), dtype=np.int64)

    whole, up_to_read = scaled(prompt), scaled(read)
    return (whole, up_to_read, scaled(read + write) - up_to_read, *[scaled(values) for values in others])


def _cached(
    scenario: Scenario,
    models: Mapping[str, Model],
    conversations: Conversations,
    turn: Ints,
    rounds: Ints,
    own_message: Ints,
    prompt: Ints,
    output: Ints,
    rng: np.random.Generator,
) -> tuple[Ints, Ints]:
    """Tokens read and written at cache points. Below the model's minimum, or without points, nothing is cached.

    A self-hosted engine's block cache holds what every call shares; customers and conversations move between replicas.
    """
    shared, model_of = scenario.capacity.assumed_tokens.shared_prefix_tokens, conversations.model[turn]
    own = np.array([models[m].supply == "self_hosted" for m in model_of])
    read = np.where(own, shared, 0)
    allowed = {name for name, model in models.items() if model.cache.points and scenario.assistant.cache.points}
    least = np.array([models[m].cache.min_tokens or 0 for m in model_of])
    may = np.array([m in allowed for m in model_of])
    at_s, span_s = _call_times(scenario, conversations, turn, output, rng)
    region = _regions(scenario, conversations.sessions, rng)[conversations.session][turn]
    in_time = np.argsort(at_s, kind="stable")
    order = in_time[(may & ~own)[in_time]]
    customer = shared + scenario.capacity.assumed_tokens.customer_prefix_tokens
    parts, part, end = _parts(conversations, turn, rounds, own_message, prompt, order)
    rows = CachedCalls(
        at_s=at_s[order],
        model=model_of[order],
        region=region[order],
        session=conversations.session[turn[order]],
        shared=np.full(len(order), shared),
        customer=np.full(len(order), customer),
        parts=parts,
        part=part,
        end=end,
    )
    lifetimes = {level: getattr(scenario.assistant.cache_ttl, level) for level in LEVELS}
    read[order] = read_tokens(rows, models, lifetimes, span_s)
    write = np.where(may & ~own & (prompt >= least), prompt - read, 0)
    return read, write


def _parts(
    conversations: Conversations, turn: Ints, rounds: Ints, own_message: Ints, prompt: Ints, order: Ints
) -> tuple[Ints, Ints, Ints]:
    """Where the messages of an interaction's turns end in a prompt, then the tool results of its own turn.

    How many parts each call of `order` has; and of all, call after call, what identifies it and where it ends.
    """
    messages = conversations.place[turn[order]] + 1
    parts = messages + rounds[order]
    call = np.repeat(order, parts)
    place = np.arange(len(call)) - np.repeat(np.cumsum(parts) - parts, parts)
    is_message = place < np.repeat(messages, parts)
    of_turn = turn[call] - conversations.place[turn[call]] + np.where(is_message, place, 0)
    of_call = call - rounds[call] + place - np.repeat(messages, parts) + 1  # the call that follows the tool's answer
    part = np.where(is_message, of_turn, len(own_message) + of_call)
    end = np.where(is_message, np.minimum(own_message[of_turn], prompt[call]), prompt[np.where(is_message, 0, of_call)])
    return parts, part, end


def _call_times(
    scenario: Scenario, conversations: Conversations, turn: Ints, output: Ints, rng: np.random.Generator
) -> tuple[Floats, float]:
    """When each call starts, sessions arriving as Poisson at the median peak of all regions; and the last arrival.

    A call lasts what a first token and its answer are assumed to; a turn begins when its wait after the answer is over.
    """
    per_session = conversations.interactions / conversations.sessions
    rate_per_s = max(scenario.demand.interactions.peak_per_s.mid, 1e-9) / per_session
    starts = np.cumsum(-np.log(even(rng, conversations.sessions))) / rate_per_s
    lasts_s = ASSUMED_TTFT_S + output * ASSUMED_TPOT_S
    waits = np.zeros(len(turn))
    first_call = np.flatnonzero(np.concatenate([[True], turn[1:] != turn[:-1]]))
    waits[first_call] = conversations.wait_s
    before = np.concatenate([[0.0], lasts_s[:-1]])
    since = np.cumsum(waits + before)  # on a clock that never stops; each session's own begins with its first call
    session = conversations.session[turn]
    first_of_session = np.concatenate([[True], session[1:] != session[:-1]])
    begun = since[first_of_session]
    return np.asarray(starts[session] + since - begun[session]), float(starts[-1])


def _regions(scenario: Scenario, sessions: int, rng: np.random.Generator) -> Ints:
    shares = np.cumsum(_shares([region.share for region in scenario.event.regions.values()]))
    return np.asarray(np.minimum(np.searchsorted(shares, even(rng, sessions)), len(shares) - 1), dtype=np.int64)


def assumed_answers(scenario: Scenario, *, seed: int, n: int = 20_000) -> Ints:
    """Answer tokens drawn as `assumed_calls` draws them, for quantiles beyond what interactions sample."""
    mean = scenario.capacity.assumed_tokens.output_tokens * scenario.demand.interactions.output_tokens_ratio
    rng = np.random.default_rng([seed, 0xA25E])
    return np.maximum(1, even_lognormal(rng, mean, scenario.capacity.assumed_tokens.cv, n))


def kept_one_hour(start: Ints, end: Ints, shared: Ints, customer: Ints, ttl: CacheTtl) -> Ints:
    """Tokens of prompt[start:end] at the levels whose lifetime is an hour; shared and customer are cumulative."""
    bars = ((0, shared, ttl.shared), (shared, customer, ttl.customer), (customer, end, ttl.conversation))
    kept = np.zeros(len(end), dtype=np.int64)
    for begins, ends, lifetime in bars:
        if lifetime == "1h":
            kept += np.maximum(0, np.minimum(end, ends) - np.maximum(start, begins))
    return kept


def _shares(weights: list[float]) -> Floats:
    shares: Floats = np.array(weights, dtype=np.float64)
    return np.asarray(shares / shares.sum())


def tokens_line(assumed: AssumedTokens) -> str:
    """One line for the plan's inputs."""
    return (
        f"prefix {assumed.shared_prefix_tokens} shared + {assumed.customer_prefix_tokens} customer, "
        f"{assumed.history_tokens_per_turn} history per turn, {assumed.tool_result_tokens} per tool result, "
        f"{assumed.output_tokens} out, {assumed.calls_per_turn:g} calls per turn"
    )
