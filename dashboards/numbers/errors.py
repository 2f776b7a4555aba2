"""Turns that were not answered: by kind, how many, from when on, and what the target first said of it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

import pandas as pd

from host.json_values import mapping
from loadgen.record import Run
from wire.html_text import page_words

SAID_LENGTH_MAX = 160
"""Characters of a sentence that stands beside a count."""
_AGAIN = re.compile(r"(retry after .{1,42}?): ")
"""A sample of a refusal that says when to come back, as `loadgen.transport.answer` writes it."""


@dataclass(frozen=True)
class ErrorKind:
    """Status and code of turns; `first_s` is when the first of them was due, `said` empty where nothing was said."""

    words: str
    count: int
    first_s: float
    said: str


def error_kinds(run: Run) -> list[ErrorKind]:
    """The kinds of a run, most often first."""
    if not len(run.turns):
        return []
    samples = run.info.totals.error_samples if run.info.totals is not None else {}
    turns = run.turns[["status", "error_code", "intended_start_s"]]
    groups = turns[turns["status"] != "ok"].groupby(["status", "error_code"], dropna=False, observed=True)
    starts = groups["intended_start_s"].agg(["size", "min"]).reset_index()
    kinds = [
        ErrorKind(
            words=f"{status}, {'no code' if pd.isna(code) else code}",
            count=int(count),
            first_s=float(first_s),
            said="" if pd.isna(code) else sentence_of(samples.get(str(code), "")),
        )
        for status, code, count, first_s in starts.itertuples(index=False)
    ]
    return sorted(kinds, key=lambda kind: -kind.count)


def sentence_of(sample: str) -> str:
    """What a person reads in what a target said: the message in its JSON, the words on its page, on one line."""
    again = _AGAIN.match(sample)
    sample = sample[again.end() :] if again else sample
    try:
        value = json.loads(sample)
    except ValueError:
        value = None
    error = mapping(value).get("error", value)
    words = [mapping(error).get(key) for key in ("message", "detail", "msg", "error")]
    text = next((word for word in (error, *words) if isinstance(word, str) and word), None)
    if text is None:
        text = page_words(sample) if sample.lstrip().startswith("<") else sample
    line = " ".join(text.split()) + (f" ({again[1]})" if again else "")
    return line if len(line) <= SAID_LENGTH_MAX else f"{line[: SAID_LENGTH_MAX - 1]}…"
