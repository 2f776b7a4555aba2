"""The summary of a Neuron Explorer profile (`view --output-format summary-json`): one profiled execution of a graph.

Source: the profile schema reference, SDK 2.32. The outer key and the scale of the *_percent fields are not verified, so
shares are computed here from counts and never taken from the file.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from neuron_bench.neuron_ls import TelemetryError
from neuron_bench.roofline import Peaks


@dataclass(frozen=True)
class ProfileSummary:
    """None = the file does not say."""

    name: str
    total_s: float | None
    model_flops: float | None
    hardware_flops: float | None
    hbm_bytes: float | None

    def shares(self, top: Peaks) -> dict[str, float | None]:
        """mfu_ratio, hfu_ratio and mbu_ratio against a chip's peaks."""

        def share(done: float | None, peak: float | None) -> float | None:
            return None if done is None or not peak or not self.total_s else done / self.total_s / peak

        return {
            "mfu_ratio": share(self.model_flops, top.flops_per_s),
            "hfu_ratio": share(self.hardware_flops, top.flops_per_s),
            "mbu_ratio": share(self.hbm_bytes, top.bytes_per_s),
        }


def parse_summary(text: str) -> ProfileSummary:
    """The first entry of a summary file.

    Raises:
        TelemetryError: not JSON, or no entry.
    """
    try:
        raw = json.loads(text)
        name, entry = next(iter(raw.items()))
        read, written = _number(entry, "hbm_read_bytes"), _number(entry, "hbm_write_bytes")
    except (json.JSONDecodeError, AttributeError, StopIteration) as error:
        raise TelemetryError(f"neuron-explorer summary: no entry can be read ({error!r})") from None
    return ProfileSummary(
        name=str(name),
        total_s=_number(entry, "total_time"),
        model_flops=_number(entry, "model_flops"),
        hardware_flops=_number(entry, "hardware_flops"),
        hbm_bytes=None if read is None and written is None else (read or 0.0) + (written or 0.0),
    )


def _number(entry: dict[str, Any], name: str) -> float | None:
    value = entry.get(name)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
