"""stack.json: written and read by one owner; old keys are read, unknown ones are errors that name themselves."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from facts.stack import (
    DataFiles,
    Fallback,
    Grant,
    StackError,
    StackFile,
    Switches,
    read_stack,
    stack_json,
    switches_of,
)


def test_a_stack_is_read_as_it_was_written(tmp_path):
    stack = StackFile(
        seed=3,
        models=("nova-pro",),
        regions=("us-east-1", "us-west-2"),
        assistant=Switches(fallback=Fallback(2, {"nova-pro": ["nova-2-lite"]}), max_tokens=None),
        quotas={"nova-pro": Grant(tpm=1_000)},
        data=DataFiles(Path("/a"), Path("/b"), Path("/c")),
    )
    file = tmp_path / "stack.json"
    file.write_bytes(stack_json(stack))
    assert read_stack(file) == stack


def test_a_fallback_chain_is_read_under_its_old_name():
    """`spill.ladder` of files written before, alone or over a scenario of the present names."""
    old = {"max_hops": 2, "ladder": {"a": ["b"]}}
    assert switches_of({"spill": old}).fallback == Fallback(2, {"a": ["b"]})
    both = {"fallback": {"max_hops": 3, "chains": {"c": ["d"]}}, "spill": {"ladder": {"a": ["b"]}}}
    assert switches_of(both).fallback == Fallback(3, {"a": ["b"]})


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        ({"router": {"mode_": "rules"}}, "assistant.router: unknown key 'mode_'; did you mean mode?"),
        ({"tools": {"timeout_s": 0}}, "assistant.tools.timeout_s"),
        ({"retry": {"mode": "adaptive"}}, "set client: boto3"),
    ],
)
def test_a_wrong_switch_names_itself(raw, words):
    with pytest.raises(StackError, match=words.replace("?", r"\?")):
        switches_of(raw)


def test_a_stack_of_another_schema_is_refused(tmp_path):
    file = tmp_path / "stack.json"
    file.write_text(json.dumps({"schema": "peakday.stack/9"}))
    with pytest.raises(StackError, match="schema is not"):
        read_stack(file)


def test_switches_are_checked_however_they_are_made():
    with pytest.raises(ValueError, match="greater than or equal to 1"):
        replace(Switches(), max_tokens=0)
