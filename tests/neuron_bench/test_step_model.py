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


@pytest.mark.parametrize(
    ("name", "since", "older"),
    [("pace_sigma", 2, 1), ("ttft_overhead_s_per_token", 3, 1), ("ttft_overhead_s_per_token", 3, 2)],
)
def test_a_file_of_an_older_version_is_read_and_what_it_does_not_know_is_unknown(name, since, older):
    """Version 2 added `pace_sigma`, 3 the overhead of a prompt token; an older file that has one is damaged."""
    raw = as_file(**{name: 0.1}) | {"schema": f"peakday.step_model/{older}"}
    with pytest.raises(StepModelError, match=rf"{name} is of peakday.step_model/{since}"):
        step_model_from(raw)
    raw.pop(name)
    raw.pop("ttft_overhead_s_per_token", None)
    assert step_model_from(raw).ttft_overhead_s_per_token == 0.0
