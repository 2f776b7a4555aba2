"""A message as hashed counts: the same few lines at training and at run time, so that both see the same features.

Words, word pairs, and letter runs within words (which survive typing errors) fall into `BUCKETS` by CRC-32. Numbers
become one token, so that the classifier learns `order 0` and not a particular order.
"""

from __future__ import annotations

import re
from itertools import pairwise
from zlib import crc32

BUCKETS = 1 << 13
CHARS_MAX = 600
"""Only so much of a message is read: what a customer wants stands near its start, and the time stays bounded."""
_RUNS = (3, 4, 5)
_WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)?|\d[\d.,]*|[?%$€£]")


def tokens(message: str) -> list[str]:
    """Lower-cased words; any number is `0`."""
    found = _WORD.findall(message[:CHARS_MAX].lower())
    return ["0" if word[0].isdigit() else word.replace("'", "") for word in found]


def buckets(message: str) -> list[int]:
    """Distinct buckets of a message's features, sorted."""
    found = tokens(message)
    features = {f"w {word}" for word in found}
    features.update(f"p {one} {two}" for one, two in pairwise(["^", *found, "$"]))
    for word in set(found):
        if len(word) > 2:
            edged = f"<{word}>"
            features.update(edged[at : at + run] for run in _RUNS for at in range(len(edged) - run + 1))
    return sorted({crc32(feature.encode()) % BUCKETS for feature in features})
