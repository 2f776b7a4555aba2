"""The simulator meets closed forms within an error bar computed from its own replications."""

import math

import numpy as np
import pytest

from capacity.simulator.engine import simulate
from capacity.simulator.requests import Requests, requests
from tests.capacity.models import step_model

REPLICATIONS, N, WARM = 24, 20_000, 4_000
STEP_S = 1e-3
MEAN_STEPS = 800


def mean_with_bar(run):
    """Mean over replications and its 99.9% half-width (t with 23 degrees of freedom)."""
    means = np.array([run(np.random.default_rng([7, i])) for i in range(REPLICATIONS)])
    return means.mean(), 3.77 * means.std(ddof=1) / math.sqrt(REPLICATIONS)


def geometric(rng: np.random.Generator) -> np.ndarray:
    """Service times in steps: geometric, so exponential but for the step's length."""
    return rng.geometric(1 / MEAN_STEPS, N)


def arrivals(rng: np.random.Generator, rate_per_s: float) -> np.ndarray:
    return np.cumsum(rng.exponential(1 / rate_per_s, N))


def sojourn_s(work: Requests, model) -> np.ndarray:
    return (simulate(work, model).end_s - work.arrival_s)[WARM:]


def one_slot(steps_of, rho):
    """Mean time in a system of one slot whose steps all take STEP_S."""

    def run(rng):
        answer = steps_of(rng)
        work = requests(arrivals(rng, rho / (MEAN_STEPS * STEP_S)), 1, answer)
        return sojourn_s(work, step_model(a=STEP_S, max_num_seqs=1)).mean()

    return mean_with_bar(run)


@pytest.mark.parametrize("rho", [0.3, 0.7])
def test_one_slot_with_random_answers_is_m_m_1(rho):
    mean, bar = one_slot(geometric, rho)
    assert mean == pytest.approx(MEAN_STEPS * STEP_S / (1 - rho), abs=bar + STEP_S)


@pytest.mark.parametrize("rho", [0.3, 0.7])
def test_one_slot_with_equal_answers_is_m_d_1(rho):
    """Pollaczek and Khinchine: waiting is half of that of M/M/1."""
    mean, bar = one_slot(lambda rng: np.full(N, MEAN_STEPS), rho)
    service_s = MEAN_STEPS * STEP_S
    assert mean == pytest.approx(service_s * (1 + rho / (2 * (1 - rho))), abs=bar + STEP_S)


def erlang_c(servers: int, load_erlang: float) -> float:
    """Probability of waiting in M/M/c. Source: Erlang 1917."""
    blocked = 1.0
    for number in range(1, servers + 1):
        blocked = load_erlang * blocked / (number + load_erlang * blocked)
    return blocked / (1 - load_erlang / servers * (1 - blocked))


@pytest.mark.parametrize(("slots", "rho"), [(4, 0.7), (16, 0.9)])
def test_several_slots_are_m_m_c(slots, rho):
    """A step costs the same whatever its batch, so each slot is a server; a start waits for a step at most."""

    def run(rng):
        work = requests(arrivals(rng, slots * rho / (MEAN_STEPS * STEP_S)), 1, geometric(rng))
        return sojourn_s(work, step_model(a=STEP_S, max_num_seqs=slots)).mean()

    mean, bar = mean_with_bar(run)
    service_s = MEAN_STEPS * STEP_S
    expected = service_s + erlang_c(slots, slots * rho) * service_s / (slots * (1 - rho))
    assert mean == pytest.approx(expected, abs=bar + STEP_S)


@pytest.mark.parametrize("answers", [geometric, lambda rng: np.full(N, MEAN_STEPS)])
def test_steps_that_cost_their_batch_are_processor_sharing(answers):
    """E[T] = E[S] / (1 - rho), whatever the law of the answers."""
    rho, token_s = 0.6, STEP_S

    def run(rng):
        work = requests(arrivals(rng, rho / (MEAN_STEPS * token_s)), 1, answers(rng))
        model = step_model(a=0.0, b=token_s, c=token_s, max_num_seqs=N, max_batched_tokens=2 * N)
        return sojourn_s(work, model).mean()

    mean, bar = mean_with_bar(run)
    assert mean == pytest.approx(MEAN_STEPS * token_s / (1 - rho), abs=bar + 5 * token_s)


def test_what_arrivals_see_obeys_littles_law():
    """L = lambda W, with L counted by arrivals (Poisson arrivals see time averages) and W by requests."""

    def run(rng):
        rate_per_s = 3.0
        work = requests(arrivals(rng, rate_per_s), 200, rng.integers(1, 400, N), rng.integers(0, 150, N))
        model = step_model(a=0.01, b=1e-4, c=1e-4, d=1e-8, max_num_seqs=32)
        served = simulate(work, model)
        ended = np.searchsorted(np.sort(served.end_s), work.arrival_s[WARM:], side="right")
        in_system = np.arange(WARM, N) - ended
        return in_system.mean() - rate_per_s * (served.end_s - work.arrival_s)[WARM:].mean()

    difference, bar = mean_with_bar(run)
    assert abs(difference) <= bar
