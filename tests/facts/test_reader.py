"""Data files are read by the types of their rows; a wrong cell or key is one line that names it."""

from dataclasses import dataclass
from typing import Annotated

import pytest

from facts import reader
from facts.decoding import Column, FactsError, decode


@dataclass(frozen=True)
class Row:
    name: str
    usd: Annotated[float, Column("price")]
    cores: int | None = None
    on: bool = False
    regions: tuple[str, ...] = ()


def test_a_row_is_read_by_the_types_of_its_fields():
    """Text cells of a CSV and values of a YAML file give the same."""
    expected = Row("a", 0.5, 3, True, ("x", "y"))
    assert decode(Row, {"name": "a", "price": "0.5", "cores": "3", "on": "yes", "regions": "x y"}, "f") == expected
    assert decode(Row, {"name": "a", "price": 0.5, "cores": 3, "on": True, "regions": ["x", "y"]}, "f") == expected


def test_a_blank_cell_is_unknown_and_never_zero():
    assert decode(Row, {"name": "a", "price": "1", "cores": ""}, "f").cores is None


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"price": ""}, "f: price: '': expected a number"),
        ({"price": True}, "f: price: True: expected a number"),
        ({"price": "inf"}, "f: price: 'inf': expected a finite number"),
        ({"price": [1]}, "expected a number"),
        ({"cores": "2.5"}, "f: cores: '2.5': expected a whole number"),
        ({"name": 5}, "f: name: 5: expected text"),
        ({"on": "maybe"}, "expected true or false"),
        ({"on": 1}, "expected true or false"),
        ({"regions": {"a": 1}}, "expected a list of words"),
    ],
)
def test_a_wrong_cell_is_named(change, problem):
    with pytest.raises(FactsError) as caught:
        decode(Row, {"name": "a", "price": "1"} | change, "f")
    assert problem in str(caught.value)


def test_a_missing_column_is_named():
    with pytest.raises(FactsError, match="f: price: missing"):
        decode(Row, {"name": "a"}, "f")


MODELS = """schema: peakday.models/1
models:
  mine: {model_id: mine, stands_for: mine, supply: bedrock, protocol: converse, cache_rule: none,
    context_tokens: 8192, max_output_tokens: 4096, images: false, grounding_regions: [], source: us}
marketplaces:
  en_US: {name: United States, currency: USD, regions: [us-east-1], language: English}
"""
ENTRY = MODELS[MODELS.index("  mine") : MODELS.index("marketplaces")]


def models_of(tmp_path, *change):
    file = tmp_path / "models.yaml"
    file.write_text(MODELS.replace(*change) if change else MODELS)
    return reader.models(file)


def test_a_models_file_of_ones_own_is_read(tmp_path):
    assert models_of(tmp_path)["mine"].context_tokens == 8192
    assert reader.marketplaces(tmp_path / "models.yaml")["en_US"].models is None


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (("8192", "many"), "models.mine: context_tokens: 'many': expected a number"),
        (("cache_rule: none", "cache_rule: nova-3"), "models.mine.cache_rule: 'nova-3' is missing or unknown; did you"),
        (("model_id: mine, ", ""), "models.mine: model_id: missing"),
        (("images: false", "pictures: false"), "models.mine.pictures: unknown key"),
        (("supply: bedrock", "supply: other"), "supply is bedrock or self_hosted"),
        (("peakday.models/1", "peakday.models/9"), "schema is not peakday.models/1"),
        (("models:\n", "modells:\n"), "models: expected a mapping"),
        ((ENTRY, "  mine: 3\n"), "models.mine: expected a mapping"),
    ],
)
def test_a_mistake_in_a_models_file_is_one_line(tmp_path, change, problem):
    """No traceback, whatever a user's own models.yaml holds."""
    with pytest.raises(FactsError) as caught:
        models_of(tmp_path, *change)
    assert problem in str(caught.value)
