"""Your own prices as the planner takes them: the prices of peakday.yaml, over those of a file it names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from facts.model_names import base_id
from facts.reader import models
from host.checked import check
from host.yaml_text import read_yaml
from peakday.account.prices import overlay, read_prices
from peakday.config import Prices
from peakday.errors import CommandError

PARTS = ("tokens", "instances")


def own_prices(prices: Prices, base: Path | None = None) -> dict[str, Any]:
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
    return {**stated, **{part: _merged(laid[part], stated[part]) for part in PARTS}}


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


def _of_yaml(path: Path) -> dict[str, Any]:
    prices = check(Prices, read_yaml(path, error=CommandError), str(path), error=CommandError)
    return {part: getattr(prices, part) for part in PARTS}


def _merged(under: Mapping[str, Mapping[str, float]], over: Mapping[str, Mapping[str, float]]) -> dict[str, Any]:
    return {name: {**under.get(name, {}), **over.get(name, {})} for name in (*under, *over)}
