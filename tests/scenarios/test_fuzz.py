"""Whatever is written into a scenario file, the answer is a scenario or one line; never a traceback."""

import copy

import numpy as np
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from scenarios.demand import rate_per_s
from scenarios.errors import ScenarioError
from scenarios.loading import json_values, load_scenario, read_values

FILES = {name: read_values(name)[1] for name in ("smoke", "prime_day", "agentic_autobuy", "region_loss")}
ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**30), 10**30),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(
        ["1e400", "-1s", "9" * 400 + "d", "30%", "trace", "product", "0x10", "2025-13-45", "~", "..", "us-east-1"]
    ),
    st.lists(st.integers(), max_size=3),
    st.dictionaries(st.text(max_size=8), st.integers(), max_size=3),
    st.sampled_from(
        [
            {"kind": "sum", "of": []},
            {"kind": "trace", "file": "/dev/null"},
            {"kind": "trace", "file": "/"},
            {"kind": []},
        ]
    ),
)


def places(values, path=()):
    """Every place in nested values."""
    inner = values.items() if isinstance(values, dict) else enumerate(values) if isinstance(values, list) else ()
    for key, value in inner:
        yield (*path, key)
        yield from places(value, (*path, key))


@st.composite
def spoiled(draw):
    """A library file with one to three places replaced, removed, renamed or doubled into a list."""
    values = copy.deepcopy(FILES[draw(st.sampled_from(sorted(FILES)))])
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(sorted(places(values), key=str)))
        target = values
        for key in path[:-1]:
            target = target[key]
        action = draw(st.sampled_from(["replace", "remove", "rename", "nest"]))
        if action == "remove":
            del target[path[-1]]
        elif action == "rename" and isinstance(target, dict):
            target[draw(st.text(max_size=8))] = target.pop(path[-1])
        elif action == "nest":
            target[path[-1]] = [target[path[-1]]]
        else:
            target[path[-1]] = draw(ODD)
    return values


def loaded(path, sets):
    """The scenario, or the message why not."""
    try:
        return load_scenario(path, sets), ""
    except ScenarioError as error:
        return None, str(error)


def answer(path, sets=()):
    """A working scenario, or a message of one line."""
    scenario, message = loaded(path, sets)
    if scenario is None:
        assert message.strip()
        assert "\n" not in message
        assert len(message) < 2_000
        return
    rates = rate_per_s(json_values(scenario), np.linspace(0, scenario.event.length_s, 5))
    assert np.isfinite(rates).all()
    assert (rates >= 0).all()


@settings(max_examples=100)
@given(values=spoiled())
def test_a_spoiled_file_is_one_line(tmp_path_factory, values):
    """Any value of any type at any place."""
    path = tmp_path_factory.getbasetemp() / "spoiled.yaml"
    path.write_text(yaml.safe_dump(values, allow_unicode=True), encoding="utf-8")
    answer(path)


@settings(max_examples=60)
@given(
    text=st.one_of(
        st.binary(max_size=200), st.text(alphabet="{}[]:,&*!|>-?#\"'%@` \n\tab1.~", max_size=120).map(str.encode)
    )
)
def test_any_bytes_are_one_line(tmp_path_factory, text):
    """Syntax of any kind, or none."""
    path = tmp_path_factory.getbasetemp() / "bytes.yaml"
    path.write_bytes(text)
    answer(path)


@settings(max_examples=60)
@given(path=st.sampled_from(sorted({".".join(map(str, p)) for v in FILES.values() for p in places(v)})), value=ODD)
def test_any_setting_is_one_line(path, value):
    """`--set` at any place, with any value, and with what is no YAML."""
    answer("smoke", [f"{path}={yaml.safe_dump(value, default_flow_style=True).strip()}"])
    answer("smoke", [f"{path}={value}"])
