"""Chips have one name each, and a measurement is of the chip it ran on."""

from __future__ import annotations

import pytest

from facts import reader
from neuron_bench.device.chips import ALIASES, chip_name, chip_on, cores_per_chip, device_of, replica_hint, resolve_chip
from neuron_bench.errors import BenchUsageError


@pytest.mark.parametrize(
    ("name", "chip"),
    [
        ("trn2", "trainium2"),
        ("Inferentia2", "inferentia2"),
        ("AWS Trainium 2", "trainium2"),
        ("trn1n", "trainium1"),
        ("inf2.48xlarge", "inferentia2"),
        ("trn2u.48xlarge", "trainium2"),
        ("NVIDIA H100 80GB HBM3", "h100-80gb sxm"),
        ("h200", "h200-141gb sxm"),
        ("p5.48xlarge", "h100-80gb sxm"),
    ],
)
def test_a_chip_is_known_by_every_name_it_has(name: str, chip: str) -> None:
    """A family, an instance type, a driver's name: one row of the table."""
    assert resolve_chip(name) == chip


@pytest.mark.parametrize("name", ["trn9", "a100", "tpu-v9", "g5", ""])
def test_an_unknown_or_ambiguous_chip_is_refused_with_the_known(name: str) -> None:
    """Never a guess by likeness: `a100` is two chips."""
    assert chip_name(name) is None
    with pytest.raises(BenchUsageError, match="not known; known: a100-40gb sxm"):
        resolve_chip(name)


def test_every_alias_is_of_a_chip_in_facts_and_every_chip_is_driven_by_something() -> None:
    """A row added to facts without a kind of device would be recorded as another's."""
    assert set(ALIASES) <= set(reader.chips())
    assert {device_of(chip) for chip in reader.chips()} == {"neuron", "cuda", "rocm", "hpu", "tpu"}


@pytest.mark.parametrize(
    ("device", "chip"), [("cpu", "inferentia2"), ("cuda", "trn2"), ("neuron", "h100"), ("cpu", "l4")]
)
def test_a_measurement_is_never_recorded_as_another_chips(device: str, chip: str) -> None:
    """A laptop is no Inferentia2."""
    with pytest.raises(BenchUsageError, match="never recorded as another chip's"):
        chip_on(device, chip)


def test_how_many_chips_is_asked_and_never_assumed() -> None:
    """TP counts logical cores: 4 are a Trainium2 as it groups them, 8 are two."""
    assert cores_per_chip("trainium2") == 4
    assert replica_hint("trainium2", 8) == "give --chips-used (tp 8 is 2 of a trainium2 at its 4 logical cores)"
    assert replica_hint(None, 8) == "give --chips-used"
