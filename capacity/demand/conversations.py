"""Sessions as the scenario's customers hold them: interactions, turns, intents, models and waits, drawn evenly.

Every draw is stratified: n values of a distribution are one from each of its n equal parts, in random order. Shares and
means are then those of the scenario to about 1 in n whatever the seed; a seed only decides what meets what.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from capacity.simulator.requests import Floats, Ints
from scenarios.mix import Lognormal, Mix
from scenarios.schema import Scenario
from scenarios.sessions import count_shares

Names = npt.NDArray[np.object_]


@dataclass(frozen=True)
class Conversations:
    """Turns [t] of interactions [i] of sessions, in order of session, interaction and place.

    wait_s: of a turn, after the answer before it (thinking, typing; of an interaction's first turn the time between
    interactions; of a session's first turn 0).
    """

    interaction: Ints
    place: Ints  # of the turn in its interaction
    session: Ints
    intent: Names
    model: Names
    wait_s: Floats
    interactions: int
    sessions: int


def even(rng: np.random.Generator, n: int) -> Floats:
    """n uniform numbers, one from each n-th of (0, 1), in random order."""
    return np.asarray((rng.permutation(n) + rng.random(n)) / max(n, 1))


def even_lognormal(rng: np.random.Generator, mean: float, cv: float, n: int) -> Ints:
    """Whole tokens with this mean and coefficient of variation."""
    if mean == 0 or n == 0:
        return np.zeros(n, dtype=np.int64)
    sigma2 = math.log1p(cv * cv)
    values = np.exp(math.log(mean) - sigma2 / 2 + math.sqrt(sigma2) * ndtri(even(rng, n)))
    return np.asarray(np.rint(values), dtype=np.int64)


def converse(scenario: Scenario, interactions: int, rng: np.random.Generator) -> Conversations:
    """About so many interactions of whole sessions."""
    mix = scenario.mix
    shares = count_shares(mix.interactions_per_session.mean, mix.interactions_per_session.max)
    mean = float(shares @ np.arange(1, len(shares) + 1))
    per_session = _counts(shares, max(1, round(interactions / mean)), rng)
    total = int(per_session.sum())
    turns = _counts(count_shares(mix.turns_per_interaction.mean, mix.turns_per_interaction.max), total, rng)
    interaction = np.repeat(np.arange(total), turns)
    place = np.arange(len(interaction)) - np.repeat(np.cumsum(turns) - turns, turns)
    session_of = np.repeat(np.arange(len(per_session)), per_session)
    first_of_session = np.concatenate([[True], session_of[1:] != session_of[:-1]])
    intent = _intents(mix, turns, interaction, place, rng)
    return Conversations(
        interaction=interaction,
        place=place,
        session=session_of[interaction],
        intent=np.array(list(mix.intents), dtype=object)[intent],
        model=_models(scenario, intent, rng),
        wait_s=_waits(mix, interaction, place, first_of_session, rng),
        interactions=total,
        sessions=len(per_session),
    )


def _counts(shares: Floats, n: int, rng: np.random.Generator) -> Ints:
    """n whole numbers from 1 with these shares."""
    return np.minimum(1 + np.searchsorted(np.cumsum(shares), even(rng, n)), len(shares))


def _pick(shares: Floats, n: int, rng: np.random.Generator) -> Ints:
    return np.minimum(np.searchsorted(np.cumsum(shares) / shares.sum(), even(rng, n), side="right"), len(shares) - 1)


def transitions(mix: Mix) -> Floats:
    """Rows of the Markov chain of intents: stay with stay_ratio, else the stated row or the mix's weights."""
    names = list(mix.intents)
    weights = np.array([mix.intents[name].weight for name in names])
    rows = [
        np.array([row.get(other, 0.0) for other in names]) if (row := mix.transitions.get(name)) else weights
        for name in names
    ]
    return np.asarray(mix.stay_ratio * np.eye(len(names)) + (1 - mix.stay_ratio) * np.array(rows))


def _intents(mix: Mix, turns: Ints, interaction: Ints, place: Ints, rng: np.random.Generator) -> Ints:
    weights, chain = np.array([part.weight for part in mix.intents.values()]), transitions(mix)
    intent = np.zeros(len(interaction), dtype=np.int64)
    for position in range(int(turns.max(initial=0))):
        here = np.flatnonzero(place == position)
        if position == 0:
            intent[here] = _pick(weights, len(here), rng)
            continue
        before = intent[here - 1]
        for was in np.unique(before):
            moved = here[before == was]
            intent[moved] = _pick(chain[was], len(moved), rng)
    return intent


def _models(scenario: Scenario, intent: Ints, rng: np.random.Generator) -> Names:
    names, policy = list(scenario.mix.intents), scenario.assistant.policy
    table = np.array([[policy.model_for(name, kind) for kind in ("simple", "complex")] for name in names], dtype=object)
    is_complex = np.zeros(len(intent), dtype=np.int64)
    for number, name in enumerate(names):
        mask = intent == number
        is_complex[mask] = even(rng, int(mask.sum())) < scenario.mix.intents[name].complex_ratio
    return np.asarray(table[intent, is_complex])


def _waits(
    mix: Mix, interaction: Ints, place: Ints, first_of_session: npt.NDArray[np.bool_], rng: np.random.Generator
) -> Floats:
    n, total = len(interaction), len(first_of_session)
    waits = _wait(mix.think_s, n, rng) + _wait(mix.typing_s, n, rng)
    later = even(rng, total) < mix.returns_later_ratio
    between = np.where(later, _wait(mix.returns_later_s, total, rng), _wait(mix.between_interactions_s, total, rng))
    between[first_of_session] = 0.0
    return np.asarray(np.where(place == 0, between[interaction], waits))


def _wait(wait: Lognormal, n: int, rng: np.random.Generator) -> Floats:
    sigma = math.sqrt(math.log1p(wait.cv**2))
    values = wait.median * np.exp(sigma * ndtri(even(rng, n)))
    return np.asarray(values if wait.max is None else np.minimum(values, wait.max))
