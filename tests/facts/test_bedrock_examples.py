"""Published worked examples of Bedrock costs and quotas, re-computed to the cent by the product's own functions.

Source: two estimate documents in a public repository of Bedrock cost use cases. A question is four calls with three
sequential tools: prompts of 8,100, 8,700, 9,300 and 9,900 tokens of which 5,000 are system and tools; 400 tokens out.
"""

import numpy as np
import pytest

from capacity.quotas.quota import call_tokens, in_flight_max
from facts.reader import TokenPrices

PROMPTS = np.array([8_100, 8_700, 9_300, 9_900])
OUTPUT, CALLS, ACTIVE_MIN, PEAK_FACTOR, MAX_TOKENS = 400, 4, 15_840, 3, 4_096
NOVA = TokenPrices("nova-pro-flex", 0.40, 1.60, 0.10, 0.0, None, "", "")
SONNET = TokenPrices("sonnet-4.6-global", 3.0, 15.0, 0.30, 3.75, None, "", "")
CASES = [
    # prices, sessions, questions, burndown, cost, no-cache cost, saving, rpm, their tpm, with their overhead
    (NOVA, 10_000, 2, 1, 74.80, 300.80, 0.751, 15.15, 137_879, 198_424),
    (SONNET, 2_000_000, 5, 5, 367_050.0, 1_140_000.0, 0.678, 7_575.76, 71_969_697, 102_242_424),
]


def split_cached(prompt, before, minimum):
    """Tokens read and written when each call finds `before` of its prompt cached and caches the rest of it.

    Below the minimum nothing is cached. Source: Bedrock user guide, prompt caching; cumulative prefix, one tail point.
    """
    read = np.where(before >= minimum, np.minimum(before, prompt), 0)
    return read, np.where(prompt >= minimum, prompt - read, 0)


def question(found_at_first: int) -> dict[str, int]:
    """Token classes of one question; their last call writes nothing, so its new tokens are plain."""
    read, write = split_cached(PROMPTS, np.concatenate(([found_at_first], PROMPTS[:-1])), 1_024)
    return {"write": int(write[:-1].sum()), "read": int(read.sum()), "plain": int(write[-1])}


def all_questions(sessions: int, questions: int) -> dict[str, int]:
    first, later = question(0), question(5_000)
    return {kind: sessions * (first[kind] + (questions - 1) * later[kind]) for kind in first}


def test_token_classes_of_a_first_and_a_later_question():
    assert question(0) == {"write": 9_300, "read": 26_100, "plain": 600}
    assert question(5_000) == {"write": 4_300, "read": 31_100, "plain": 600}


@pytest.mark.parametrize("case", CASES, ids=["nova", "sonnet"])
def test_dollars_are_right_to_the_cent(case):
    prices, sessions, questions, _, cost_usd, uncached_usd, saving, *_ = case
    tokens, answers = all_questions(sessions, questions), sessions * questions * OUTPUT
    found = prices.cost_usd(tokens["plain"], tokens["read"], tokens["write"], 0, answers)
    assert round(found, 2) == cost_usd
    plain = prices.cost_usd(sessions * questions * int(PROMPTS.sum()), 0, 0, 0, answers)
    assert round(plain, 2) == uncached_usd
    assert round(1 - found / plain, 3) == saving


def peak_rpm(sessions: int, questions: int) -> float:
    return sessions * questions * CALLS / ACTIVE_MIN * PEAK_FACTOR


def tpm_counting_cache_reads_as_published(rpm: float, burndown: float, overhead: float = 0.0) -> float:
    """Their method: all 9,000 prompt tokens of a call, cached or not, plus output x burndown."""
    return rpm * (PROMPTS.mean() + OUTPUT / CALLS * burndown + overhead)


@pytest.mark.parametrize("case", CASES, ids=["nova", "sonnet"])
def test_the_published_tokens_per_minute_follow_from_their_own_method(case):
    _, sessions, questions, burndown, *_, rpm, tpm, with_overhead = case
    found = peak_rpm(sessions, questions)
    assert round(found, 2) == rpm
    assert round(tpm_counting_cache_reads_as_published(found, burndown)) == tpm
    assert round(tpm_counting_cache_reads_as_published(found, burndown, MAX_TOKENS - OUTPUT / CALLS)) == with_overhead


def test_our_two_readings_stand_beside_it():
    """Settlement leaves cache reads out, reservation counts them and max_tokens: theirs is neither."""
    _, sessions, questions, burndown, *_ = CASES[1]
    tokens, calls = all_questions(sessions, questions), sessions * questions * CALLS
    call = call_tokens(
        input_tokens=tokens["plain"] / calls,
        cache_read_tokens=tokens["read"] / calls,
        cache_write_tokens=tokens["write"] / calls,
        output_tokens=OUTPUT / CALLS,
        max_tokens=MAX_TOKENS,
        output_burndown_ratio=burndown,
    )
    rpm = peak_rpm(sessions, questions)
    assert round(rpm * call.settled) == 14_962_121
    assert round(rpm * call.reserved) == 99_212_121


def test_an_unset_max_tokens_leaves_31_calls_in_flight_of_1333():
    """AWS agent toolkit, quota health: 2M tokens per minute, prompts of 500 tokens, a model that may answer 64,000."""
    assert in_flight_max(2_000_000, 500, 1_000) == 1_333
    assert in_flight_max(2_000_000, 500, 64_000) == 31
