"""What is kept of simulations: by content, only so many, and heard when one is made."""

from dataclasses import dataclass

import numpy as np
import pytest

from capacity.simulator.memory import Memory, content_key


@dataclass(frozen=True)
class Values:
    rates: np.ndarray
    name: str


def test_the_same_content_is_made_once_and_other_content_anew():
    made = []
    memory = Memory(8)
    for rates in ([1.0, 2.0], [1.0, 2.0], [1.0, 2.0 + 2**-50]):
        key = content_key(Values(np.array(rates), "a"), 7)
        memory.get(key, lambda rates=rates: made.append(rates))
    assert made == [[1.0, 2.0], [1.0, 2.0 + 2**-50]]


@pytest.mark.parametrize(
    "other",
    [
        (np.array([1, 2]), "a"),
        (np.array([1.0, 2.0], dtype=np.float32), "a"),
        (np.array([[1.0], [2.0]]), "a"),
        (np.array([1.0, 2.0]), "b"),
        (np.array([1.0, 2.0]), "a", None),
    ],
)
def test_type_shape_and_every_value_are_content(other):
    assert content_key(*other) != content_key(np.array([1.0, 2.0]), "a")


def test_only_the_newest_are_kept_and_who_listens_hears_what_is_made():
    memory, heard = Memory(2), []
    with memory.heard(heard.append):
        for key in ("a", "b", "a", "c", "b"):
            memory.get(key, lambda: None, (key,))
    memory.get("d", lambda: None, ("d",))
    assert heard == ["a", "b", "c", "b"]


def test_an_array_within_a_tuple_is_content_to_its_last_bit():
    """Its printed text would round to eight digits."""
    assert content_key((np.array([1.0]),)) != content_key((np.array([1.0 + 2**-50]),))


@pytest.mark.parametrize("other", [(1.0, 2.0 + 2**-51), (1, 2), (1.0, 2), (1.0,), (1.0, 2.0, 0.0), (1.0, (2.0,)), ()])
def test_a_tuple_of_floats_is_content_to_its_last_bit(other):
    assert content_key((1.0, 2.0)) == content_key((1.0, float("2")))
    assert content_key((1.0, 2.0)) != content_key(other)
