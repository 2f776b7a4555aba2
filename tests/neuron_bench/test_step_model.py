"""Step models that no engine can have are refused, each in one line."""

import json
from dataclasses import asdict

import pytest

from neuron_bench.step_model import SCHEMA, StepModelError, step_model_from
from tests.capacity.models import llama_8b

NOT_NEGATIVE = ("relative_error", "ttft_overhead_s", "gap_overhead_s")
POSITIVE = ("tp", "chips_per_replica", "max_num_seqs", "max_batched_tokens", "block_tokens", "kv_blocks")


def as_file(**changed):
    """A step model's JSON form with some keys changed."""
    return {"schema": SCHEMA, **json.loads(json.dumps(asdict(llama_8b()))), **changed}


@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("name", [*NOT_NEGATIVE, *POSITIVE])
def test_a_number_no_engine_has_is_refused_by_its_name(name, value):
    with pytest.raises(StepModelError, match=f"^f.json: .* on inferentia2: {name} is {value:g}, expected >") as refused:
        step_model_from(as_file(**{name: value}), where="f.json")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("name", POSITIVE)
def test_an_engine_of_nothing_is_refused(name):
    with pytest.raises(StepModelError, match=f"{name} is 0, expected > 0"):
        step_model_from(as_file(**{name: 0}))


@pytest.mark.parametrize("limits", [[-1.0, 5.0], [5.0, 1.0], [0.0, float("inf")], [float("nan"), 5.0]])
def test_a_range_that_is_none_is_refused(limits):
    with pytest.raises(StepModelError, match="validity of input_tokens is"):
        step_model_from(as_file(validity={"input_tokens": limits}))


def test_the_model_it_was_made_from_is_not():
    assert step_model_from(as_file()) == llama_8b()


def test_a_file_of_the_first_version_is_read_and_its_pace_is_unknown():
    """Version 2 added `pace_sigma`; a file that claims 1 and has one is damaged."""
    raw = as_file(pace_sigma=0.1)
    assert raw["schema"] == "peakday.step_model/2"
    with pytest.raises(StepModelError, match=r"pace_sigma is of peakday.step_model/2"):
        step_model_from(raw | {"schema": "peakday.step_model/1"})
    assert step_model_from(raw | {"schema": "peakday.step_model/1", "pace_sigma": None}).pace_sigma is None
