"""Your own prices as the planner takes them: the prices of peakday.yaml, over those of a file it names."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from facts.model_names import base_id
from facts.reader import models
from host.checked import check
from host.json_values import mapping
from host.yaml_text import read_yaml
from peakday.account.prices import overlay, read_prices
from peakday.config import Prices
from peakday.errors import CommandError

PARTS = ("tokens", "instances")
SINGLE = ("owned", "discount_ratio", "features")
"""Parts of `prices` whose entries are numbers."""


def own_prices(prices: Prices, base: Path | None = None) -> dict[str, object]:
    """The overlay of `capacity.cost.prices.load_prices`. What peakday.yaml states itself wins over its file.

    The file is a prices.csv of `aws pull`, whose list prices take the discounts too, or a YAML of the same keys as
    `prices` itself.

    Raises:
        CommandError: the file is missing, or is neither.
    """
    stated = prices.model_dump(exclude={"file"})
    if prices.file is None:
        return stated
    path = (base or Path()) / prices.file
    if not path.is_file():
        raise CommandError(f"peakday.yaml: prices.file: {path} is not there; `peakday aws pull` writes one")
    laid = _of_csv(path, prices.discount_ratio) if path.suffix == ".csv" else _of_yaml(path)
    own = {"tokens": prices.tokens, "instances": prices.instances}
    return {**stated, **{part: _merged(laid[part], own[part]) for part in PARTS}}


def with_prices(prices: Mapping[str, object], texts: Sequence[str]) -> dict[str, object]:
    """Single prices laid over: `tokens.nova-pro.input_usd_per_mtok=0.7`, `instances.trn1.32xlarge.usd_per_hour=18`,
    `owned.trn1.32xlarge=4`, `discount_ratio.anthropic=0.1` or `features.KEY=1.5`.

    Raises:
        CommandError: a text of another shape.
    """
    laid = {part: dict(values) if isinstance(values, Mapping) else values for part, values in prices.items()}
    for text in texts:
        path, _, value = text.partition("=")
        part, _, name = path.strip().partition(".")
        key = ""
        if part in PARTS:
            name, _, key = name.rpartition(".")
        if part not in (*PARTS, *SINGLE) or not name or (part in PARTS and not key):
            raise CommandError(
                f"--price {text}: expected tokens.MODEL.KEY, instances.TYPE.usd_per_hour, owned.TYPE, "
                "discount_ratio.FAMILY or features.KEY, then =NUMBER"
            )
        number = _number(text, value)
        entries = mapping(laid.get(part))
        laid[part] = {**entries, name: {**mapping(entries.get(name)), key: number} if key else number}
    return laid


def _number(text: str, value: str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not (math.isfinite(number) and number >= 0):
        raise CommandError(f"--price {text}: {value!r} is no price; give a number from 0 on")
    return number


def _of_csv(path: Path, discounts: Mapping[str, float]) -> dict[str, dict[str, dict[str, float]]]:
    known = models()

    def family(part: str, name: str) -> str:
        return (base_id(known[name].model_id) if part == "tokens" else name).split(".", 1)[0]

    return {
        part: {
            name: {key: usd * (1 - discounts.get(family(part, name), 0.0)) for key, usd in entry.items()}
            for name, entry in entries.items()
        }
        for part, entries in overlay(read_prices(path)).items()
    }


def _of_yaml(path: Path) -> dict[str, dict[str, dict[str, float]]]:
    prices = check(Prices, read_yaml(path, error=CommandError), str(path), error=CommandError)
    return {"tokens": prices.tokens, "instances": prices.instances}


def _merged(
    under: Mapping[str, Mapping[str, float]], over: Mapping[str, Mapping[str, float]]
) -> dict[str, dict[str, float]]:
    return {name: {**under.get(name, {}), **over.get(name, {})} for name in (*under, *over)}
