"""Chips by one name: that of facts' table, whatever a user, an instance type, a driver or a report calls it."""

from __future__ import annotations

import re

from facts import reader
from facts.reader import Chip
from neuron_bench.errors import BenchUsageError

ALIASES = {
    "inferentia1": ("inferentia", "inf1"),
    "inferentia2": ("inf2",),
    "trainium1": ("trainium", "trn1", "trn1n"),
    "trainium2": ("trn2", "trn2u"),
    "trainium3": ("trn3",),
    "a10g": (),
    "l4": (),
    "l40s": (),
    "a100-40gb sxm": ("a100-40gb", "a100-sxm4-40gb", "a100 40gb"),
    "a100-80gb sxm": ("a100-80gb", "a100-sxm4-80gb", "a100 80gb", "a100_sxm_80gb", "a100_sxm"),
    "h100-80gb sxm": ("h100", "h100-80gb", "h100 80gb hbm3", "h100-sxm5-80gb", "h100_sxm"),
    "h200-141gb sxm": ("h200", "h200-141gb", "h200_sxm"),
    "b200 sxm": ("b200",),
    "mi300x": ("amd instinct mi300x", "instinct mi300x", "amd mi300x"),
    "mi325x": ("amd instinct mi325x", "instinct mi325x", "amd mi325x"),
    "mi355x": ("amd instinct mi355x", "instinct mi355x", "amd mi355x"),
    "gaudi2": ("intel gaudi 2", "hl-225"),
    "gaudi3": ("intel gaudi 3", "hl-325l"),
    "tpu v5e": ("tpu-v5e", "v5litepod"),
    "tpu v6e": ("tpu-v6e", "trillium"),
    "rtx 4090": ("geforce rtx 4090", "rtx4090"),
    "rtx a6000": ("a6000",),
}
"""Other names of a chip of facts/data/chips.csv: instance families, drivers' names, short names."""

_VENDOR_DEVICE = {"aws": "neuron", "nvidia": "cuda", "amd": "rocm", "intel": "hpu", "google": "tpu"}
_NOISE = re.compile(r"[\s_-]+")


def _plain(name: str) -> str:
    """A name without case, vendor and separators."""
    return _NOISE.sub("", name.lower()).removeprefix("aws").removeprefix("nvidia")


def _names() -> dict[str, str]:
    known = {_plain(chip): chip for chip in reader.chips()}
    for chip, aliases in ALIASES.items():
        if chip in reader.chips():
            known |= {_plain(alias): chip for alias in aliases}
    return known


def chip_name(name: str) -> str | None:
    """The chip of a name or an instance type; None where neither is known. Never a guess by likeness."""
    plain = _plain(name)
    known = _names().get(plain)
    if known is not None:
        return known
    instance = reader.instances().get(name.lower())
    if instance is not None:
        return instance.chip
    family = name.lower().partition(".")[0]
    return _names().get(family) if family != name.lower() and family in _families() else None


def _families() -> frozenset[str]:
    return frozenset(name.partition(".")[0] for name in reader.instances())


def resolve_chip(name: str) -> str:
    """The chip of a name.

    Raises:
        BenchUsageError: no such chip in facts; the message lists those known.
    """
    chip = chip_name(name)
    if chip is None:
        known = ", ".join(sorted(reader.chips()))
        raise BenchUsageError(f"chip {name!r}: not known; known: {known} (and their instance families, such as trn2)")
    return chip


def chip_facts(chip: str | None) -> Chip | None:
    """The row of facts' table; None for none, and for a name it does not have."""
    return reader.chips().get(chip or "")


def device_of(chip: str) -> str:
    """By which kind of device a chip is driven; benches of ours run on `neuron`, `cuda` and the CPU only."""
    row = chip_facts(chip)
    return _VENDOR_DEVICE.get(row.vendor.lower(), "neuron") if row else "neuron"


def cores_per_chip(chip: str | None) -> int | None:
    """Logical cores of a chip as it is grouped by default; one of a GPU; None for a chip we have no row of."""
    row = chip_facts(chip)
    if row is None:
        return None
    return row.logical_neuroncores_default or 1


def chip_on(device: str, chip: str | None) -> str | None:
    """The chip's name on a device that can be one.

    Raises:
        BenchUsageError: an unknown chip, or one that this device is not: a measurement is of what it ran on.
    """
    if chip is None:
        return None
    resolved = resolve_chip(chip)
    if device_of(resolved) != device:
        raise BenchUsageError(
            f"chip {resolved} is measured with --device {device_of(resolved)}; this is --device {device}, "
            "and what a machine measures is never recorded as another chip's"
        )
    return resolved


def replica_hint(chip: str | None, tp: int | None) -> str:
    """What to say where nobody said how many chips: never a number that is taken silently."""
    cores = cores_per_chip(chip)
    if tp is None or cores is None:
        return "give --chips-used"
    return f"give --chips-used (tp {tp} is {tp / cores:g} of a {chip} at its {cores} logical cores)"
