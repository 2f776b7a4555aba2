"""YAML for people: what a plain word means, and what is refused in one line."""

import contextlib
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from host.errors import PeakdayError
from host.yaml_text import YamlError, dump_yaml, parse_yaml, read_yaml


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("010", 10), ("0600", 600), ("-07", -7), ("0o17", 15), ("0x1F", 31), ("20261127", 20261127),
        ("1e3", 1000.0), ("12e03", 12000.0), (".5", 0.5), ("1.", 1.0), ("-.5", -0.5), (".inf", math.inf),
        ("true", True), ("False", False), ("~", None), ("null", None), ("", None),
        ("1:30", "1:30"), ("190:20:30", "190:20:30"), ("2026-11-27", "2026-11-27"), ("1_000", "1_000"),
        ("2026-11-27T01:02:03Z", "2026-11-27T01:02:03Z"), ("0b11", "0b11"), ("yes", "yes"), ("no", "no"),
        ("on", "on"), ("off", "off"), ("y", "y"), ("=", "="), ("<<", "<<"), ("'010'", "010"),
    ],
)  # fmt: skip
def test_a_plain_word_means_what_yaml_1_2_says(word, value):
    """No octal 010, no sexagesimal 1:30, no dates, no yes and no."""
    parsed = parse_yaml(f"a: {word}\n", "f")["a"]
    assert (parsed, type(parsed)) == (value, type(value))


def test_keys_are_text():
    assert parse_yaml("1: a\ntrue: b\nnull: c\n2026-11-27: d\n", "f") == {
        "1": "a", "true": "b", "null": "c", "2026-11-27": "d",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: 1\nb: 2\na: 3", "f: line 3: key 'a' stands twice"),
        ("a: {x: 1, x: 2}", "f: line 1: key 'x' stands twice"),
        ("a: &x 1\nb: *x", "f: line 2: aliases are not allowed"),
        ("a: !!python/object:os.system x", "tag 'tag:yaml.org,2002:python/object:os.system' is not allowed"),
        ("a: !!set {x}", "is not allowed, write a plain value"),
        ("a: !!binary aGk=", "is not allowed"),
        ("? [1]\n: 2", "a key must be a plain word"),
        ("a: b: c", "f: line 1: mapping values are not allowed"),
        ("a: 1\n---\nb: 2", "another document"),
        ("a: \x00", "control characters"),
        ("a: " + "9" * 5000, "a number of so many digits"),
        ("a: !!float abc", "could not convert"),
        ("[" * 5000, "nested too deeply"),
        ("a: " + "{b: " * 80 + "1" + "}" * 80, "nested too deeply"),
        ("- 1", "f: a list, expected keys and values"),
        ("hello", "f: a text, expected keys and values"),
        ("", "f: empty, expected keys and values"),
    ],
)
def test_what_is_refused_is_one_line(text, problem):
    with pytest.raises(YamlError) as caught:
        parse_yaml(text, "f")
    assert problem in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_alias_bomb_is_refused_before_it_is_composed():
    """Half a kilobyte that means gigabytes."""
    levels = "".join(f"l{k}: &l{k} [{', '.join([f'*l{k - 1}'] * 9)}]\n" for k in range(1, 12))
    with pytest.raises(YamlError, match="aliases are not allowed"):
        parse_yaml(f"l0: &l0 [lol]\n{levels}", "f")


def test_what_is_written_is_read_back():
    """Words that look like numbers are quoted, and what stands twice is written twice."""
    part = {"a": "010", "b": "yes", "c": "1:30", "d": 1e-5, "e": None, "f": ["2026-11-27", True]}
    values = {"first": part, "second": part}
    assert parse_yaml(dump_yaml(values), "f") == values


def test_an_empty_file_holds_no_keys(tmp_path):
    (tmp_path / "empty.yaml").write_text("# only a comment\n")
    assert read_yaml(tmp_path / "empty.yaml") == {}


def test_the_error_is_of_the_callers_class():
    class MineError(PeakdayError):
        pass

    with pytest.raises(MineError, match="stands twice"):
        parse_yaml("a: 1\na: 1", "f", error=MineError)


@given(text=st.text(alphabet=":-{}[]!&*?|>'\"%@`#, \n\t0123456789.eEabc\u00e9\ud800\x00", max_size=60))
def test_any_text_is_values_or_an_expected_error(text):
    with contextlib.suppress(YamlError):
        parse_yaml(text, "f", mapping=False)
