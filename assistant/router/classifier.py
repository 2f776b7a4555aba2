"""Second stage of the router: a frozen linear classifier over hashed features. Numpy only, well under a millisecond."""

from __future__ import annotations

import json
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import numpy as np

from assistant.errors import AssistantError
from assistant.router.features import buckets

SCHEMA = "peakday.router/1"


class LinearClassifier:
    """Softmax over weighted feature counts; a confidence is the probability of the best intent."""

    def __init__(self, arrays: dict[str, np.ndarray]) -> None:
        self.about: dict[str, Any] = json.loads(str(arrays["about"]))
        if self.about["schema"] != SCHEMA:
            raise AssistantError(
                f"router weights: schema {self.about['schema']!r}, expected {SCHEMA!r}; train them again"
            )
        self._intents = self.about["intents"]
        self._complexities = self.about["complexities"]
        # Bucket-major: a message gathers its own few rows.
        self._intent = np.ascontiguousarray(arrays["intent_weights"].T, np.float32) * arrays["intent_scale"]
        self._intent_bias = arrays["intent_bias"]
        self._complexity = (
            np.ascontiguousarray(arrays["complexity_weights"][0], np.float32) * arrays["complexity_scale"]
        )
        self._complexity_bias = float(arrays["complexity_bias"][0])

    def classify(self, message: str) -> tuple[str, str, float]:
        """Intent, complexity and the intent's probability."""
        found = buckets(message)
        weight = len(found) ** -0.5 if found else 0.0
        scores = self._intent[found].sum(axis=0) * weight + self._intent_bias
        best = int(scores.argmax())
        confidence = 1.0 / float(np.exp(scores - scores[best]).sum())
        lean = float(self._complexity[found].sum()) * weight + self._complexity_bias
        return self._intents[best], self._complexities[int(lean > 0)], confidence


def load(path: Path | None = None) -> LinearClassifier:
    """The shipped classifier, or one from a file."""
    if path is None:
        with as_file(files("assistant").joinpath("data", "router.npz")) as shipped:
            return load(shipped)
    with np.load(path) as arrays:
        return LinearClassifier({name: arrays[name] for name in arrays.files})
