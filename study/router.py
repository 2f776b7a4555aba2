"""Trains the router's frozen classifier from the project's own utterances (extra `train`).

    python -m study router scenarios/utterances --out assistant/data/router.npz

Each YAML holds {intent, train: [{text, complexity}], held_out: [...]}: only `train` is learned from. The file written
lists every input with its SHA-256, so that a reader can tell what the weights saw. Designs tried and their figures:
docs/decisions/005-router-from-phrasings.md.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from assistant.router.classifier import SCHEMA
from assistant.router.features import BUCKETS, GROUPS, buckets
from facts.intents import COMPLEXITIES, INTENTS

_STRENGTH = 30.0
"""Inverse regularisation, chosen by cross-validation over the training phrasings."""
_FOLDS = 3
Row = tuple[str, str, str]
"""Text, intent, complexity."""


def read_utterances(folder: Path, part: str) -> list[Row]:
    """Every phrasing of one part: `train` or `held_out`."""
    found = []
    for path in sorted(folder.glob("*.yaml")):
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
        found += [(row["text"], raw["intent"], row.get("complexity", "simple")) for row in raw[part]]
    return found


def read_phrasings(path: Path) -> list[Row]:
    """The phrasings that only the router learns from."""
    found = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            intent, _, texts = line.partition(": ")
            for text in texts.split(" | "):
                found.append((text.removeprefix("*"), intent, "complex" if text.startswith("*") else "simple"))
    return found


def rarity(texts: Sequence[str]) -> np.ndarray:
    """float32[BUCKETS]: how much a bucket says, log((1 + n) / (1 + messages with it)) + 1."""
    seen = np.zeros(BUCKETS)
    for text in texts:
        for group in buckets(text):
            seen[group] += 1
    return (np.log((1 + len(texts)) / (1 + seen)) + 1).astype(np.float32)


def matrix(texts: Sequence[str], weight: np.ndarray) -> Any:
    """Sparse [n, BUCKETS]: each group's part at its own length, the whole of length one."""
    from scipy.sparse import csr_matrix

    whole = sum(group.weight**2 for group in GROUPS) ** -0.5
    data: list[float] = []
    columns: list[int] = []
    starts = [0]
    for text in texts:
        for group, found in zip(GROUPS, buckets(text), strict=True):
            part = weight[found]
            data.extend(part * (group.weight * whole / max(float(np.sqrt(part @ part)), 1e-9)))
            columns.extend(found)
        starts.append(len(columns))
    return csr_matrix((data, columns, starts), shape=(len(texts), BUCKETS))


def train(own: Sequence[Row], further: Sequence[Row]) -> dict[str, np.ndarray]:
    """Arrays of the classifier.

    Args:
        own: the utterances; complexity is learned from these alone, and the temperature is fitted to them.
        further: phrasings for the intents.
    """
    rows = [*own, *further]
    weight = rarity([text for text, _, _ in rows])
    features = matrix([text for text, _, _ in rows], weight)
    intents = np.array([INTENTS.index(intent) for _, intent, _ in rows])
    lean = np.array([COMPLEXITIES.index(complexity) for _, _, complexity in own])
    intent = _fit(features, intents)
    complexity = _fit(features[: len(own)], lean)
    coefficients = np.vstack([intent.coef_, complexity.coef_])
    scale = np.abs(coefficients).max(axis=1) / 127
    return {
        "weights": np.round(coefficients / scale[:, None]).astype(np.int8),
        "scale": scale.astype(np.float32),
        "bias": np.concatenate([intent.intercept_, complexity.intercept_]).astype(np.float32),
        "rarity": weight.astype(np.float16),
        "temperature": np.array(_temperature(features, intents, len(own)), np.float32),
    }


def _fit(features: Any, labels: np.ndarray) -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=_STRENGTH, class_weight="balanced", max_iter=500).fit(features, labels)


def _temperature(features: Any, labels: np.ndarray, own: int) -> float:
    """What scores are divided by so that a confidence is a share of right answers, on folds of the utterances."""
    from scipy.optimize import minimize_scalar

    scores, truth = [], []
    for fold in range(_FOLDS):
        tested = np.arange(fold, own, _FOLDS)
        learned = np.setdiff1d(np.arange(len(labels)), tested)
        scores.append(_fit(features[learned], labels[learned]).decision_function(features[tested]))
        truth.append(labels[tested])
    stacked, right = np.vstack(scores), np.concatenate(truth)

    def loss(temperature: float) -> float:
        shown = stacked / temperature
        peak = shown.max(axis=1)
        total = peak + np.log(np.exp(shown - peak[:, None]).sum(axis=1))
        return float((total - shown[np.arange(len(right)), right]).mean())

    return float(minimize_scalar(loss, bounds=(0.2, 5.0), method="bounded").x)


def main(arguments: Sequence[str]) -> None:
    """Train and write."""
    parser = argparse.ArgumentParser(prog="python -m study router", description="Train the frozen router.")
    parser.add_argument("utterances", type=Path, help="folder of utterance files, one YAML an intent")
    parser.add_argument("--out", type=Path, required=True, help="the .npz to write")
    args = parser.parse_args(arguments)
    phrasings, concepts = (args.out.with_name(name) for name in ("router_phrasings.txt", "router_concepts.txt"))
    own, further = read_utterances(args.utterances, "train"), read_phrasings(phrasings)
    paths = [*sorted(args.utterances.glob("*.yaml")), phrasings, concepts]
    inputs: dict[str, object] = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}
    about = {
        "schema": SCHEMA,
        "intents": INTENTS,
        "complexities": COMPLEXITIES,
        "phrasings": len(own) + len(further),
        "inputs": inputs,
    }
    arrays: dict[str, Any] = {"about": np.array(json.dumps(about)), **train(own, further)}
    np.savez_compressed(args.out, **arrays)
