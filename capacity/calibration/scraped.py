"""What an engine's own page, scraped beside its runs, says that no client can see: KV memory, hits, speculation.

Names are vLLM's: `cache_config_info` has the blocks of one engine, `prefix_cache_queries` and `prefix_cache_hits` count
prompt tokens, `spec_decode_num_draft_tokens` and `..._num_accepted_tokens` count drafts; the histograms
`request_queue_time_seconds` and `request_prefill_time_seconds` are the time before a request is scheduled and from
there to its first token (vLLM, docs/design/metrics).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from capacity.calibration.limits import EngineLimits
from capacity.calibration.observed import EngineTimes, Observed
from loadgen.record import Run

CACHE, RUNNING, WAITING, USED = (
    "vllm:cache_config_info", "vllm:num_requests_running", "vllm:num_requests_waiting", "vllm:kv_cache_usage_perc",
)  # fmt: skip
QUERIES, HITS = "vllm:prefix_cache_queries_total", "vllm:prefix_cache_hits_total"
DRAFTED, ACCEPTED = "vllm:spec_decode_num_draft_tokens_total", "vllm:spec_decode_num_accepted_tokens_total"
QUEUED_S, QUEUED = "vllm:request_queue_time_seconds_sum", "vllm:request_queue_time_seconds_count"
PREFILLED_S, PREFILLED = "vllm:request_prefill_time_seconds_sum", "vllm:request_prefill_time_seconds_count"
KV_FULL = 0.9
"""A KV memory used by more than this may be what holds requests back."""
SAMPLES_MIN = 3
PARTS_MAX = 1.1
"""Queue and prefill over the client's mean TTFT: more is no rounding of a histogram's sum."""


@dataclass(frozen=True)
class EnginePage:
    """None = it does not say. hit_ratio: of prompt tokens. accepted_ratio: of drafted tokens, where it speculates.

    queue_s, prefill_s: mean wait of a request before the engine took it up, and from there to its first token, by its
    own histograms; of one load step.
    """

    block_tokens: int | None = None
    kv_blocks: int | None = None
    max_num_seqs: int | None = None
    hit_ratio: float | None = None
    accepted_ratio: float | None = None
    queue_s: float | None = None
    prefill_s: float | None = None

    def fill(self, stated: EngineLimits) -> EngineLimits:
        """The limits that nobody stated, as the page has them. Blocks are of the page's own size."""
        if stated.kv_blocks is None and self.kv_blocks is not None:
            block_tokens = self.block_tokens or stated.block_tokens
            stated = replace(stated, kv_blocks=self.kv_blocks, block_tokens=block_tokens)
        return replace(stated, max_num_seqs=stated.max_num_seqs or self.max_num_seqs)

    def notes(self, stated: EngineLimits) -> tuple[str, ...]:
        """What was taken from it, and what the model does not hold."""
        notes = []
        if stated.kv_blocks is None and self.kv_blocks is not None:
            notes.append(f"{self.kv_blocks:,} KV blocks, by the engine's own page")
        if stated.max_num_seqs is None and self.max_num_seqs is not None:
            notes.append(f"max_num_seqs {self.max_num_seqs}, by the engine's own page while others waited")
        if self.accepted_ratio is not None:
            notes.append(
                f"speculative decoding was on ({self.accepted_ratio:.0%} of drafted tokens accepted): not modelled, "
                "the steps are those of this acceptance only"
            )
        return tuple(notes)


def engine_page(run: Run) -> EnginePage:
    """Of one engine; of several behind the run's pages nothing is read but their counters."""
    page = EnginePage(
        hit_ratio=_grown_ratio(run, HITS, QUERIES),
        accepted_ratio=_grown_ratio(run, ACCEPTED, DRAFTED),
        queue_s=_grown_ratio(run, QUEUED_S, QUEUED),
        prefill_s=_grown_ratio(run, PREFILLED_S, PREFILLED),
    )
    infos = run.server[run.server["metric"] == CACHE].drop_duplicates(["target", "labels"])
    if len(infos) != 1:
        return page
    labels = str(infos["labels"].iloc[0])
    blocks = _whole(labels, "num_gpu_blocks")
    return replace(page, block_tokens=_whole(labels, "block_size"), kv_blocks=blocks, max_num_seqs=_most_running(run))


def joined(pages: Sequence[EnginePage]) -> EnginePage:
    """Of all load steps: what they agree on; the most requests that ran; means of ratios."""

    def agreed(values: Sequence[int | None]) -> int | None:
        known = {value for value in values if value is not None}
        return known.pop() if len(known) == 1 else None

    def mean(values: Sequence[float | None]) -> float | None:
        known = [value for value in values if value is not None]
        return float(np.mean(known)) if known else None

    return EnginePage(
        agreed([page.block_tokens for page in pages]),
        agreed([page.kv_blocks for page in pages]),
        max((page.max_num_seqs for page in pages if page.max_num_seqs is not None), default=None),
        mean([page.hit_ratio for page in pages]),
        mean([page.accepted_ratio for page in pages]),
    )


def with_page(observed: Observed, page: EnginePage) -> Observed:
    """The load step with the share of prompt tokens that its engine found cached, and how it splits first tokens.

    Parts that are longer than the whole are of other requests than these, and are left out.
    """
    observed = replace(observed, hit_ratio=page.hit_ratio)
    if page.queue_s is None or page.prefill_s is None:
        return observed
    whole_s = float(observed.ttft_s[observed.included].mean())
    if page.queue_s + page.prefill_s > PARTS_MAX * whole_s:
        return observed
    return replace(observed, engine=EngineTimes(page.queue_s, page.prefill_s))


def split_note(observed: Observed) -> list[str]:
    """How a load step's first tokens split; nothing where the engine did not say."""
    if observed.engine is None:
        return []
    ttft_s = float(observed.ttft_s[observed.included].mean())
    queue_s, prefill_s = observed.engine.queue_s, observed.engine.prefill_s
    return [
        f"{observed.name}: of a mean TTFT of {ttft_s:.3g} s the engine's own histograms say {queue_s:.3g} s of queue "
        f"and {prefill_s:.3g} s of prefill, which leaves {max(ttft_s - queue_s - prefill_s, 0.0):.3g} s to the front"
    ]


def _grown_ratio(run: Run, part: str, whole: str) -> float | None:
    grown = run.info.server_deltas or {}
    totals = [sum(value for name, value in grown.items() if name.endswith(f" {metric}")) for metric in (part, whole)]
    return totals[0] / totals[1] if totals[1] > 0 else None


def _whole(labels: str, name: str) -> int | None:
    match = re.search(rf'(?:^|,){name}="(\d+)"', labels)
    return int(match[1]) or None if match else None


def _most_running(run: Run) -> int | None:
    """Requests in the batch while others waited and the KV memory had room: the engine's limit, if they stood still."""
    table = run.server.pivot_table(index="second", columns="metric", values="value", aggfunc="sum")
    if not {RUNNING, WAITING, USED} <= set(table.columns):
        return None
    queued = table[(table[WAITING] >= 1) & (table[USED] < KV_FULL)][RUNNING]
    most = queued.max() if len(queued) else 0.0
    return int(most) if int((queued == most).sum()) >= SAMPLES_MIN else None
