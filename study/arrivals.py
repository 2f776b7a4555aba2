"""Arrivals of the study: kept in one Parquet file, written as the CSV that `run --arrivals` replays.

A prediction names its arrivals by the SHA-256 of the CSV, so the same rows give the same bytes.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from host.atomic import written_aside

KEPT = Path("docs/study/arrivals.parquet")
"""Columns shape, arrivals, offset_us, context_tokens, generated_tokens; one row a call, in the order of sending."""


@dataclass(frozen=True)
class Arrivals:
    """Calls of one load step, all arrays [n]: microseconds from its start, prompt tokens, answer tokens."""

    offset_us: npt.NDArray[np.int64]
    prompt_tokens: npt.NDArray[np.int64]
    answer_tokens: npt.NDArray[np.int64]

    @classmethod
    def of(
        cls, offset_s: npt.NDArray[np.float64], prompt: npt.NDArray[np.int64], answer: npt.NDArray[np.int64]
    ) -> Arrivals:
        """Arrivals at times in seconds."""
        return cls(np.rint(offset_s * 1e6).astype(np.int64), prompt, answer)

    @property
    def last_offset_s(self) -> float:
        """When the last call is due."""
        return float(self.offset_us.max()) / 1e6

    def write_csv(self, path: Path) -> Path:
        """The file that `run --arrivals` replays."""
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(["TIMESTAMP", "ContextTokens", "GeneratedTokens"])
            offsets = (f"{us // 1_000_000}.{us % 1_000_000:06d}" for us in self.offset_us.tolist())
            rows.writerows(zip(offsets, self.prompt_tokens.tolist(), self.answer_tokens.tolist(), strict=True))
        return path


def read_arrivals(shape: str, name: str, path: Path = KEPT) -> Arrivals | None:
    """Kept arrivals of a load step; None where there are none."""
    if not path.exists():
        return None
    rows = pd.read_parquet(path, filters=[("shape", "==", shape), ("arrivals", "==", name)])
    if rows.empty:
        return None
    columns = ("offset_us", "context_tokens", "generated_tokens")
    return Arrivals(*(rows[column].to_numpy(dtype=np.int64) for column in columns))


def keep_arrivals(shape: str, name: str, arrivals: Arrivals, path: Path = KEPT) -> None:
    """Add the arrivals of a load step to the file."""
    rows = pd.DataFrame(
        {
            "shape": shape,
            "arrivals": name,
            "offset_us": arrivals.offset_us,
            "context_tokens": arrivals.prompt_tokens.astype(np.int32),
            "generated_tokens": arrivals.answer_tokens.astype(np.int32),
        }
    ).astype({"shape": "category", "arrivals": "category"})
    if path.exists():
        before = pd.read_parquet(path)
        rows = pd.concat([before.astype({"shape": str, "arrivals": str}), rows.astype({"shape": str, "arrivals": str})])
    with written_aside(path) as aside:
        rows.to_parquet(
            aside,
            index=False,
            compression="zstd",
            compression_level=19,
            column_encoding={"offset_us": "DELTA_BINARY_PACKED"},
            use_dictionary=["shape", "arrivals", "context_tokens", "generated_tokens"],
        )
