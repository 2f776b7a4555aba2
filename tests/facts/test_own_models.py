"""The user's own models, laid over the package's."""

import pytest

from facts.decoding import FactsError
from facts.own_models import own_models
from facts.reader import marketplaces, models, token_prices

ENTRY = """
schema: peakday.models/1
models:
  mine:
    model_id: global.anthropic.claude-opus-4-8
    stands_for: Claude Opus 4.8 on the mantle endpoint
    supply: bedrock
    protocol: converse
    endpoint: bedrock-mantle
    cache_rule: claude-opus-4-8
    usd_per_mtok: {input: 4, output: 20, cache_read: 0.4}
    quota: {input_tpm: 200000, output_tpm: 20000}
    context_tokens: 1000000
    max_output_tokens: 128000
    images: true
    grounding_regions: []
    source: own
"""


@pytest.fixture
def own(tmp_path):
    path = tmp_path / "models.yaml"
    path.write_text(ENTRY)
    return path


def test_a_file_of_own_models_is_laid_over_the_packages(own):
    """Known for as long as the block lasts; prices and quota as stated, what is not stated unknown."""
    before = models()
    with own_models(own):
        mine = models()["mine"]
        assert set(models()) == {*before, "mine"}
        assert marketplaces().keys() == {*marketplaces()}
    assert models() == before
    assert (mine.prices.input_usd_per_mtok, mine.prices.cache_write_5m_usd_per_mtok) == (4.0, None)
    assert (mine.quota.input_tpm, mine.quota.tpm, mine.quota.output_burndown_ratio) == (200_000.0, None, 1.0)
    assert mine.endpoint == "bedrock-mantle"


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("input: 4", "inputs: 4", "mine.usd_per_mtok.inputs: unknown key"),
        ("output: 20, ", "", "mine.usd_per_mtok: output"),
        ("bedrock-mantle", "mantle", "'mantle' is neither"),
        ("source: own", "tokenizer_ratio: 0\n    source: own", "0 is no ratio"),
        ("input_tpm: 200000", "input_tpm: many", "mine.quota: input_tpm: 'many'"),
    ],
)  # fmt: skip
def test_a_wrong_entry_is_one_line_that_names_its_key(own, old, new, problem):
    own.write_text(ENTRY.replace(old, new))
    with own_models(own), pytest.raises(FactsError, match=problem):
        models()


def test_every_price_of_the_list_can_be_named_by_an_own_model(own):
    """The newer rows of the price list are plannable without a price of one's own."""
    stated = "usd_per_mtok: {input: 4, output: 20, cache_read: 0.4}"
    key = "global.anthropic.claude-opus-5"
    own.write_text(ENTRY.replace(stated, f"price_key: {key}"))
    assert models(own)["mine"].prices == token_prices()[key]
