"""Second stage of the router: a frozen linear classifier over hashed features. Numpy only, well under a millisecond."""

from __future__ import annotations

import json
from importlib.resources import as_file, files
from pathlib import Path

import numpy as np

from assistant.errors import AssistantError
from assistant.router.features import GROUPS, buckets

SCHEMA = "peakday.router/2"


class LinearClassifier:
    """Softmax over weighted features; a confidence is the probability of the best intent."""

    def __init__(self, arrays: dict[str, np.ndarray]) -> None:
        self.about: dict[str, object] = json.loads(str(arrays["about"]))
        if self.about["schema"] != SCHEMA:
            raise AssistantError(
                f"router weights: schema {self.about['schema']!r}, expected {SCHEMA!r}; train them again"
            )
        self._intents = self.about["intents"]
        self._complexities = self.about["complexities"]
        rarity = arrays["rarity"].astype(np.float32)
        # Bucket-major, rarity folded in: a message gathers its own few rows. The last column leans to complex.
        self._weights = np.multiply(arrays["weights"].T * arrays["scale"], rarity[:, None], order="C", dtype=np.float32)
        self._bias = arrays["bias"]
        self._squares = rarity**2
        self._temperature = float(arrays["temperature"])
        self.classify("warm")  # reads the concepts, or the first message would wait for it

    def classify(self, message: str) -> tuple[str, str, float]:
        """Intent, complexity and the intent's probability; nothing is sure about a message without a word."""
        scores = self._bias.copy()
        features = buckets(message)
        for share, found in zip(_SHARES, features, strict=True):
            if found:
                length = float(self._squares.take(found).sum()) ** 0.5
                scores += self._weights.take(found, axis=0).sum(axis=0) * (share / length)
        intents = scores[:-1] / self._temperature
        best = int(intents.argmax())
        confidence = 1.0 / float(np.exp(intents - intents[best]).sum()) if any(features) else 0.0
        return self._intents[best], self._complexities[int(scores[-1] > 0)], confidence


_SHARES = tuple(group.weight * sum(one.weight**2 for one in GROUPS) ** -0.5 for group in GROUPS)


def load(path: Path | None = None) -> LinearClassifier:
    """The shipped classifier, or one from a file."""
    if path is None:
        with as_file(files("assistant").joinpath("data", "router.npz")) as shipped:
            return load(shipped)
    with np.load(path) as arrays:
        return LinearClassifier({name: arrays[name] for name in arrays.files})
