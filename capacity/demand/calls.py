"""Model calls of a sample of interactions: measured in a run, or assumed from the scenario. One table for both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from capacity.caching.hit_ratio import TTL_S, ttl_hit_ratio
from capacity.plan import PlanError
from capacity.simulator.requests import Floats, Ints
from facts.reader import Model
from facts.stack import CacheTtl
from loadgen.record import Run
from scenarios.schema import AssumedTokens, Scenario

Names = npt.NDArray[np.object_]


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
        """Mask of one model's calls."""
        mask: npt.NDArray[np.bool_] = self.model == model
        return mask

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
    import pandas as pd

    refuse_weak_evidence(run)
    key = ["session_id", "interaction_id", "turn_index"]
    turns = run.turns[run.turns["status"] != "dropped"].drop_duplicates(key).reset_index(drop=True)
    turns["turn"] = np.arange(len(turns))
    turns["interaction"] = turns.groupby(key[:2], sort=False).ngroup()
    calls = run.calls.merge(turns[[*key, "turn"]], on=key)
    calls = calls[calls["input_tokens"].notna() & calls["output_tokens"].notna()]
    if calls.empty:
        raise PlanError(f"{run.path}: no call with token usage; a target must report usage to be planned from")

    def whole(name: str, unknown: int = 0) -> Ints:
        values: Ints = pd.to_numeric(calls[name]).fillna(unknown).to_numpy(dtype=np.int64)
        return values

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


def _span_s(starts_s: Any) -> float | None:
    """Seconds from the first to the last start; None where there is no span."""
    span = float(starts_s.max() - starts_s.min())
    return span if span > 0 else None


def assumed_calls(scenario: Scenario, models: Mapping[str, Model], *, seed: int, interactions: int = 4_000) -> Calls:
    """Calls drawn from the scenario's mix, routing policy and `capacity.assumed_tokens`; provenance `assumed`.

    An interaction's first call finds the shared prefix cached as `_prefix_hits` says: a cache belongs to one model in
    one region, so a rare route is cold more often.
    """
    rng = np.random.default_rng([seed, 0xCA11])
    assumed = scenario.capacity.assumed_tokens
    interaction, index_in_it, intent, model = _turns(scenario, interactions, rng)
    extra = assumed.calls_per_turn - 1
    calls_of_turn = 1 + int(extra) + (rng.random(len(intent)) < extra - int(extra))
    turn = np.repeat(np.arange(len(intent)), calls_of_turn)
    rounds = np.arange(len(turn)) - np.repeat(np.cumsum(calls_of_turn) - calls_of_turn, calls_of_turn)
    shared = np.full(len(turn), assumed.shared_prefix_tokens)
    customer = shared + assumed.customer_prefix_tokens
    message = _lognormal(rng, assumed.message_tokens, assumed.cv, len(intent))
    tool_result = _lognormal(rng, assumed.tool_result_tokens, assumed.cv, len(intent))
    grown = index_in_it[turn] * assumed.history_tokens_per_turn + message[turn] + rounds * tool_result[turn]
    clients = scenario.demand.interactions  # a few clients may write and be answered at other lengths
    prompt = customer + np.rint(grown * clients.input_tokens_ratio).astype(np.int64)
    first = (rounds == 0) & (index_in_it[turn] == 0)
    before = np.where(first, shared, np.concatenate([[0], prompt[:-1]]))  # what the call before it left in the cache
    model_of = model[turn]
    read, write = _cached(scenario, models, model_of, prompt, np.minimum(before, prompt), shared, first, rng)
    answer = assumed.output_tokens * clients.output_tokens_ratio
    output = np.maximum(1, _lognormal(rng, answer, assumed.cv, len(turn)))
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
        turn_intent=intent,
        turn_interaction=interaction,
        interactions=interactions,
        provenance=dict.fromkeys(models, "assumed"),
        source=f"scenario {scenario.name}: capacity.assumed_tokens",
    )


def assumed_answers(scenario: Scenario, *, seed: int, n: int = 20_000) -> Ints:
    """Answer tokens drawn as `assumed_calls` draws them, for quantiles beyond what interactions sample."""
    mean = scenario.capacity.assumed_tokens.output_tokens * scenario.demand.interactions.output_tokens_ratio
    rng = np.random.default_rng([seed, 0xA25E])
    return np.maximum(1, _lognormal(rng, mean, scenario.capacity.assumed_tokens.cv, n))


def _turns(scenario: Scenario, interactions: int, rng: np.random.Generator) -> tuple[Ints, Ints, Names, Names]:
    """Interaction number, place in it, intent and answering model of every turn."""
    mix, policy = scenario.mix, scenario.assistant.policy
    count = mix.turns_per_interaction
    turns = np.minimum(rng.geometric(1 / count.mean, interactions), count.max)
    interaction = np.repeat(np.arange(interactions), turns)
    index_in_it = np.arange(len(interaction)) - np.repeat(np.cumsum(turns) - turns, turns)
    names = list(mix.intents)
    intent = rng.choice(len(names), len(interaction), p=_shares([mix.intents[name].weight for name in names]))
    complex_ratio = np.array([mix.intents[name].complex_ratio for name in names])
    is_complex = rng.random(len(interaction)) < complex_ratio[intent]
    table = np.array([[policy.model_for(name, kind) for kind in ("simple", "complex")] for name in names], dtype=object)
    return interaction, index_in_it, np.array(names, dtype=object)[intent], table[intent, is_complex.astype(int)]


def split_cached(prompt: Ints, before: Ints, minimum: Ints | int) -> tuple[Ints, Ints]:
    """Tokens read and written when each call finds `before` of its prompt cached and caches the rest of it.

    Below the minimum nothing is cached. Source: Bedrock user guide, prompt caching; cumulative prefix, one tail point.
    """
    read: Ints = np.where(before >= minimum, np.minimum(before, prompt), 0)
    return read, np.where(prompt >= minimum, prompt - read, 0)


def kept_one_hour(start: Ints, end: Ints, shared: Ints, customer: Ints, ttl: CacheTtl) -> Ints:
    """Tokens of prompt[start:end] at the levels whose lifetime is an hour; shared and customer are cumulative."""
    bars = ((0, shared, ttl.shared), (shared, customer, ttl.customer), (customer, end, ttl.conversation))
    kept = np.zeros(len(end), dtype=np.int64)
    for begins, ends, lifetime in bars:
        if lifetime == "1h":
            kept += np.maximum(0, np.minimum(end, ends) - np.maximum(start, begins))
    return kept


def _cached(
    scenario: Scenario,
    models: Mapping[str, Model],
    model_of: Names,
    prompt: Ints,
    before: Ints,
    shared: Ints,
    first: npt.NDArray[np.bool_],
    rng: np.random.Generator,
) -> tuple[Ints, Ints]:
    """Tokens read and written at cache points. Below the model's minimum, or without points, nothing is cached."""
    allowed = {name: bool(model.cache.points) and scenario.assistant.cache.points for name, model in models.items()}
    minimum = {name: model.cache.min_tokens or 0 for name, model in models.items()}
    may = np.array([allowed[m] for m in model_of])
    least = np.array([minimum[m] for m in model_of])
    cached_before, _ = split_cached(prompt, np.where(may, before, 0), least)
    hit_of = _prefix_hits(scenario, models, model_of)
    hit = np.array([hit_of[m] for m in model_of])
    cold = first & (rng.random(len(prompt)) >= hit)
    read: Ints = np.where(cold, 0, cached_before)
    write = np.where(may & (prompt >= least), prompt - read, 0)
    own = np.array([models[m].supply == "self_hosted" for m in model_of])
    # an own engine's block cache holds what every call shares; customers and conversations move between replicas
    return np.where(own, shared, read), write


def _prefix_hits(scenario: Scenario, models: Mapping[str, Model], model_of: Names) -> dict[str, float]:
    """Share of interactions that find a model's shared prefix cached at the peak, the mean over regions by their rate.

    Each region's cache of a model sees the peak x the model's share of the calls x the region's share, as Poisson.
    """
    peak_per_s = scenario.demand.interactions.peak_per_s.mid
    regions = _shares([region.share for region in scenario.event.regions.values()])
    wanted = scenario.assistant.cache_ttl.shared
    hits = {}
    for name in set(model_of.tolist()):
        rate_per_s, ttl_s = peak_per_s * float((model_of == name).mean()), TTL_S[_given(wanted, models[name])]
        hits[name] = sum(float(share) * ttl_hit_ratio(rate_per_s * float(share), ttl_s) for share in regions)
    return hits


def _given(ttl: str, model: Model) -> str:
    """The lifetime a model gives when asked for one: a model without 1h gives 5m."""
    return ttl if ttl in model.cache.ttls else "5m"


def _lognormal(rng: np.random.Generator, mean: float, cv: float, n: int) -> Ints:
    """Whole tokens with this mean and coefficient of variation."""
    if mean == 0:
        return np.zeros(n, dtype=np.int64)
    sigma2 = np.log1p(cv * cv)
    return np.rint(np.exp(rng.normal(np.log(mean) - sigma2 / 2, np.sqrt(sigma2), n))).astype(np.int64)


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
