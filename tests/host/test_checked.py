"""A file with several problems is told of all of them at once."""

import pytest

from scenarios.errors import ScenarioError
from scenarios.loading import load_scenario

pytestmark = pytest.mark.unit


def test_an_unknown_key_hides_no_other_problem_of_its_mapping(tmp_path):
    """A wrong value beside it, a sum of the whole mapping, and a key that its misspelling leaves missing."""
    settings = ["slo.nonsense=3", "slo.ttft_s_p95=-1", "event.wrong=1", "event.regions.us-east-1.share=0.4",
                "mix.intents.search.weightt=3"]  # fmt: skip
    with pytest.raises(ScenarioError, match=r"\(and 5 more\)") as refused:
        load_scenario("smoke", settings)
    problems = "\n".join([str(refused.value), *refused.value.__notes__])
    for words in (
        "'wrong'",
        "'nonsense'",
        "ttft_s_p95=-1: expected above 0",
        "sum to 0.8",
        "'weightt'",
        "weight: missing",
    ):
        assert words in problems


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90.0), ("18h10m", 65_400.0), ("1d2h30m5s", 95_405.0)])
def test_a_duration_in_a_file_may_have_several_parts(text, seconds):
    """From large to small, as the options of a command take them."""
    assert load_scenario("smoke", [f"event.length_s={text}"]).event.length_s == seconds


def test_parts_of_a_duration_out_of_order_are_refused():
    with pytest.raises(ScenarioError, match="such as 90s, 4h or 18h10m"):
        load_scenario("smoke", ["event.length_s=10m18h"])
