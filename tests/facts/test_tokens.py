"""The classes of tokens, and what follows from their counts."""

from facts.tokens import TokenCounts

COUNTS = TokenCounts(100, 800, 60, 40, 7)


def test_the_prompt_is_everything_that_went_in():
    assert COUNTS.prompt_tokens == 1000


def test_the_hit_ratio_is_of_tokens_and_unknown_without_any():
    assert COUNTS.cache_hit_token_ratio == 0.8
    assert TokenCounts().cache_hit_token_ratio is None


def test_counts_add_up_class_by_class():
    assert COUNTS + TokenCounts(1, 2, 3, 4, 5) == TokenCounts(101, 802, 63, 44, 12)


def test_a_row_gives_its_classes_and_what_it_does_not_know_counts_as_none():
    assert TokenCounts.of({"input_tokens": 5, "output_tokens": None, "model": 3}) == TokenCounts(5)
