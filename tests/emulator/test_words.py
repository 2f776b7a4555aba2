"""Tokens, the words of the emulator, and what they make of a conversation."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.bedrock.prompt import read_prompt
from emulator.language.conversations import Conversations, Plan, Turn, read_conversations
from emulator.language.corpus import Corpus
from emulator.language.tokens import TokenRule

ratios = st.sampled_from([1.0, 3.8, 4.0, 4.4, 5.7])


@given(st.text(), st.text(), ratios)
def test_a_longer_text_never_has_fewer_tokens(text, more, ratio):
    """Prefix-stable: history only grows."""
    rule = TokenRule(ratio, 0)
    assert rule.text(text) <= rule.text(text + more)


@given(st.lists(st.text(min_size=1), min_size=1, max_size=5), ratios)
def test_tokens_add_up_over_content_blocks(texts, ratio):
    """A prompt counts what its blocks count."""
    rule = TokenRule(ratio, 0)
    body = {"messages": [{"role": "user", "content": [{"text": text} for text in texts]}]}
    assert read_prompt(body, rule).tokens == sum(rule.text(text) for text in texts)


@given(st.integers(1, 20_000), st.integers(0, 2**16), ratios, st.integers(1, 4))
def test_an_answer_has_exactly_its_tokens(tokens, start, ratio, per_chunk):
    """Whatever its length and place in the corpus; its chunks join to its text, `per_chunk` tokens each."""
    corpus = CORPORA.setdefault(
        (ratio, per_chunk), Corpus(("A fine kettle. ", "It boils."), TokenRule(ratio, 0), per_chunk, unit)
    )
    text, units = corpus.answer(tokens, start)
    assert corpus.rule.text(text) == tokens
    assert b"".join(units).decode() == text
    assert len(units) == -(-tokens // per_chunk)


CORPORA: dict = {}


def unit(text: str, index: int) -> bytes:
    return text.encode()


PLAN = Plan(
    rounds=(
        ({"tool": "search", "input": {"query": "kettle"}}, {"tool": "orders", "input": {}}),
        ({"tool": "details", "input": {"product_id": "$first_result.product_id"}},),
    )
)
EVERYTHING = {"search", "orders", "details"}
console = Conversations({}, Plan())


def asked(turn: Turn, offered=frozenset(EVERYTHING)) -> list:
    return console.calls(PLAN, turn, set(offered))


def test_rounds_follow_each_other_and_fill_their_placeholders():
    """The second round takes the product from the first one's results, wherever it stands in them."""
    results = ({"items": [{"product_id": "p000007"}]}, {"orders": []})
    assert [name for name, _ in asked(Turn(()))] == ["search", "orders"]
    assert asked(Turn((), (results,))) == [("details", {"product_id": "p000007"})]
    assert asked(Turn((), (results, ({},)))) == []


def test_one_call_at_a_time_goes_through_the_whole_plan():
    """Three planned calls are three rounds without parallel tool use."""
    names, results = [], []
    while calls := asked(Turn((), tuple(results), parallel=False)):
        assert len(calls) == 1
        names.append(calls[0][0])
        results.append(({"product_id": "p000001"},))
    assert names == ["search", "orders", "details"]


def test_a_round_whose_results_were_prefetched_counts_as_done():
    """Both tools of round one are in the message: the model goes on with round two at once."""
    texts = ('<prefetch tool="search">{}</prefetch>', '<prefetch tool="orders">{}</prefetch>')
    assert asked(Turn(texts)) == []  # round two needs a result that no message of the turn holds
    assert [name for name, _ in asked(Turn(texts[:1]))] == ["orders"]


def test_only_offered_tools_are_asked_for():
    """Whatever the plan says."""
    assert [name for name, _ in asked(Turn(()), {"orders"})] == ["orders"]


@pytest.mark.parametrize("place", [0, 1, 2])
def test_the_last_known_text_of_a_message_is_the_customers(place):
    """Context before or after it does not matter."""
    from hashlib import sha256

    known = Conversations({sha256(b"words").hexdigest(): Plan(answer_tokens=7)}, Plan(answer_tokens=1))
    texts = ["context", "more"]
    texts.insert(place, "words")
    assert known.plan_for(Turn(tuple(texts))).answer_tokens == 7
    assert known.plan_for(Turn(("other",))).answer_tokens == 1
    assert known.unknown == 1


def test_an_answer_may_be_keyed_by_the_words_themselves(tmp_path):
    """A file of one's own needs no hashes."""
    (tmp_path / "own.yaml").write_text(
        "schema: peakday.conversations/1\nanswers: {where is it?: {says: On its way.}}\ndefault: {}\n"
    )
    assert read_conversations(tmp_path / "own.yaml").words_for(Turn(("where is it?",))) == "On its way."
