"""What customers do: the planned sessions have the statistics that the scenario states."""

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest

from scenarios import sessions
from scenarios.loading import json_values, load_scenario
from scenarios.shop import make_shop
from scenarios.world import make_messages

SCENARIO = load_scenario("prime_day", ["world.products=300"])
RESOLVED = json_values(SCENARIO)
MESSAGES = [
    message
    for message, _ in make_messages(SCENARIO, make_shop(SCENARIO.world, SCENARIO.event.start_utc, SCENARIO.seed))
]
BY_ID = {message["id"]: message for message in MESSAGES}


@pytest.fixture(scope="module")
def many():
    return sessions.SessionPlanner(RESOLVED, MESSAGES, seed=1).block(0, 20_000)


def interactions_of(many):
    return [interaction for session in many for interaction in session.interactions]


def test_the_same_seed_gives_the_same_sessions_for_any_number_of_workers():
    """Arrival i belongs to worker i mod W: the union over workers is the same for W = 1, 2, 5 and 16."""
    whole = sessions.SessionPlanner(RESOLVED, MESSAGES, seed=7).block(0, 2500)
    for workers in (1, 2, 5, 16):
        planners = [sessions.SessionPlanner(RESOLVED, MESSAGES, seed=7) for _ in range(workers)]
        union = [planners[i % workers].block(i, i + 1)[0] for i in range(0, 2500, 3)]
        assert union == whole[::3]


def test_another_seed_gives_other_sessions():
    """The seed matters."""
    first, second = (sessions.SessionPlanner(RESOLVED, MESSAGES, seed=seed).block(0, 100) for seed in (1, 2))
    assert first != second


def test_counts_have_the_stated_means(many):
    """Interactions per session and turns per interaction, cut at their maximum, keep their means."""
    per_session = np.array([len(session.interactions) for session in many])
    per_interaction = np.array([len(interaction.turns) for interaction in interactions_of(many)])
    for counts, stated in ((per_session, "interactions_per_session"), (per_interaction, "turns_per_interaction")):
        error = counts.std() / np.sqrt(len(counts))
        assert counts.mean() == pytest.approx(RESOLVED["mix"][stated]["mean"], abs=4 * error)
        assert counts.max() <= RESOLVED["mix"][stated]["max"]


def test_first_turns_follow_the_mix(many):
    """Shares of intents among first turns are the weights, within sampling error."""
    firsts = [BY_ID[interaction.turns[0].message_id]["intent"] for interaction in interactions_of(many)]
    counts, total = Counter(firsts), len(firsts)
    for intent, entry in RESOLVED["mix"]["intents"].items():
        # image turns are drawn among the intents that have image messages, so allow for their share
        slack = RESOLVED["mix"]["image_ratio"] + 4 * np.sqrt(entry["weight"] / total)
        assert counts[intent] / total == pytest.approx(entry["weight"], abs=slack)


def test_complexity_follows_the_intents_ratio(many):
    """Recommendations are complex as often as the scenario says."""
    found = [BY_ID[i.turns[0].message_id] for i in interactions_of(many)]
    complex_ = [m["complexity"] == "complex" for m in found if m["intent"] == "recommendation" and not m["image"]]
    assert np.mean(complex_) == pytest.approx(0.6, abs=0.04)


def test_the_conversation_moves_as_a_markov_chain(many):
    """Within an interaction the intent stays with stay_ratio, plus the chance that the chain returns to itself."""
    moves = Counter()
    for interaction in interactions_of(many):
        intents = [BY_ID[turn.message_id]["intent"] for turn in interaction.turns if turn.confirm is None]
        moves.update((a, b) for a, b in pairwise(intents))
    from_search = sum(n for (a, _), n in moves.items() if a == "product_search")
    assert moves["product_search", "product_search"] / from_search == pytest.approx(0.6, abs=0.03)
    assert moves["product_search", "product_question"] / from_search == pytest.approx(0.4 * 0.5, abs=0.03)


def test_waits_are_those_of_people(many):
    """Nothing waits before a first turn; later turns wait for reading and typing; later interactions for longer."""
    first = many[0].interactions[0]
    assert first.delay_s == 0
    assert all(interaction.turns[0].think_s == 0 for interaction in interactions_of(many))
    later = np.array([turn.think_s for i in interactions_of(many) for turn in i.turns[1:] if turn.confirm is None])
    assert 10 < np.median(later) < 30
    delays = np.array([i.delay_s for session in many for i in session.interactions[1:]])
    assert (delays > 0).all()
    assert (delays > 300).mean() == pytest.approx(RESOLVED["mix"]["returns_later_ratio"], abs=0.05)


def test_impatience_can_be_switched_off():
    """Without patience_s nobody leaves."""
    scenario = RESOLVED | {"mix": RESOLVED["mix"] | {"patience_s": None}}
    plans = sessions.SessionPlanner(scenario, MESSAGES, seed=1).block(0, 50)
    assert {turn.patience_s for i in interactions_of(plans) for turn in i.turns} == {None}


def test_a_pending_write_is_confirmed_or_declined(many):
    """The turn after a message that asks for a write accepts it with confirm_ratio, in the same intent."""
    answers = []
    for interaction in interactions_of(many):
        for before, turn in pairwise(interaction.turns):
            asked = BY_ID[before.message_id]
            assert (turn.confirm is not None) == (asked["confirm"] and before.confirm is None)
            if turn.confirm is not None:
                answer = BY_ID[turn.message_id]
                assert (answer["intent"], answer["answers"]) == (
                    asked["intent"],
                    "accept" if turn.confirm else "decline",
                )
                answers.append(turn.confirm)
    assert np.mean(answers) == pytest.approx(0.8, abs=0.05)


def test_follow_ups_never_open_a_conversation(many):
    """Words that lean on the turn before come second or later."""
    assert not any(BY_ID[i.turns[0].message_id]["follow_up"] for i in interactions_of(many))
    assert any(BY_ID[turn.message_id]["follow_up"] for i in interactions_of(many) for turn in i.turns[1:])


def test_images_come_as_often_as_stated(many):
    """image_ratio is the share of interactions that open with a photo."""
    opened = np.mean([BY_ID[i.turns[0].message_id]["image"] for i in interactions_of(many)])
    assert opened == pytest.approx(0.02, abs=0.004)


def test_few_customers_come_often(many):
    """Activity is Zipf-distributed: the first customer comes most, and every id is in the population."""
    counts = Counter(session.customer_index for session in many)
    assert counts.most_common(1)[0][0] < 5
    assert max(counts) < RESOLVED["mix"]["customers"]["population"]
    assert many[0].customer_id == f"c{many[0].customer_index + 1:06d}"


def test_locales_are_the_regions_own():
    """A session of the third region speaks its languages, in their shares."""
    planner = sessions.SessionPlanner(RESOLVED, MESSAGES, seed=1)
    found = Counter(session.locale for session in planner.block(0, 5000, [2] * 5000))
    assert found["es_US"] / 5000 == pytest.approx(0.12, abs=0.02)


def test_a_replayed_row_is_one_session_of_one_turn():
    """Every row of a log becomes one question."""
    plans = sessions.single_turn(RESOLVED, MESSAGES, seed=1).block(0, 300)
    assert {(len(s.interactions), len(s.interactions[0].turns)) for s in plans} == {(1, 1)}


def test_a_mix_without_words_is_refused():
    """An intent that has no message cannot be planned."""
    with pytest.raises(ValueError, match="none for intent"):
        sessions.SessionPlanner(RESOLVED, MESSAGES[:3], seed=1)
