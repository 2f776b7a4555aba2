"""Trains the frozen classifier from the project's own utterances (extra `train`); run by hand, never at run time.

    python -m assistant.router.train scenarios/utterances --out assistant/data/router.npz

Each YAML holds {intent, train: [{text, complexity}], held_out: [...]}: only `train` is learned from. The file written
lists every input with its SHA-256, so that a reader can tell what the weights saw.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from assistant.router.features import BUCKETS, buckets
from assistant.router.route import COMPLEXITIES, INTENTS

SCHEMA = "peakday.router/1"
_STRENGTH = 20.0
"""Inverse regularisation, chosen by cross-validation over the training phrasings."""


def read_utterances(folder: Path, part: str) -> list[tuple[str, str, str]]:
    """(text, intent, complexity) of every phrasing of one part: `train` or `held_out`."""
    found = []
    for path in sorted(folder.glob("*.yaml")):
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
        found += [(row["text"], raw["intent"], row.get("complexity", "simple")) for row in raw[part]]
    return found


def read_phrasings(path: Path) -> list[tuple[str, str, str]]:
    """(text, intent, complexity) of the phrasings that only the router learns from."""
    found = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            intent, _, texts = line.partition(": ")
            for text in texts.split(" | "):
                found.append((text.removeprefix("*"), intent, "complex" if text.startswith("*") else "simple"))
    return found


def matrix(texts: list[str]) -> np.ndarray:
    """float32[n, BUCKETS]: each row the message's buckets at equal weight, of length one."""
    rows = np.zeros((len(texts), BUCKETS), np.float32)
    for row, text in zip(rows, texts, strict=True):
        found = buckets(text)
        row[found] = len(found) ** -0.5 if found else 0.0
    return rows


def train(rows: list[tuple[str, str, str]]) -> dict[str, np.ndarray]:
    """Weights of two linear models, intents and complexity, as small integers with one scale each."""
    from sklearn.linear_model import LogisticRegression

    features = matrix([text for text, _, _ in rows])
    heads = {"intent": [INTENTS.index(intent) for _, intent, _ in rows]}
    heads["complexity"] = [COMPLEXITIES.index(complexity) for _, _, complexity in rows]
    arrays: dict[str, np.ndarray] = {}
    for name, labels in heads.items():
        model = LogisticRegression(C=_STRENGTH, class_weight="balanced", max_iter=2_000).fit(features, labels)
        weights = model.coef_.astype(np.float64)
        scale = np.abs(weights).max() / 127
        arrays[f"{name}_weights"] = np.round(weights / scale).astype(np.int8)
        arrays[f"{name}_scale"] = np.array(scale, np.float32)
        arrays[f"{name}_bias"] = model.intercept_.astype(np.float32)
    return arrays


def main() -> None:
    """Train and write."""
    parser = argparse.ArgumentParser(prog="python -m assistant.router.train", description="Train the frozen router.")
    parser.add_argument("utterances", type=Path, help="folder of utterance files, one YAML an intent")
    parser.add_argument("--out", type=Path, required=True, help="the .npz to write")
    args = parser.parse_args()
    own = [args.out.with_name(name) for name in ("router_phrasings.txt", "router_concepts.txt")]
    rows = [*read_utterances(args.utterances, "train"), *read_phrasings(own[0])]
    paths = [*sorted(args.utterances.glob("*.yaml")), *own]
    inputs: dict[str, Any] = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}
    about = {
        "schema": SCHEMA,
        "intents": INTENTS,
        "complexities": COMPLEXITIES,
        "phrasings": len(rows),
        "inputs": inputs,
    }
    arrays: dict[str, Any] = {"about": np.array(json.dumps(about)), **train(rows)}
    np.savez_compressed(args.out, **arrays)


if __name__ == "__main__":
    main()
