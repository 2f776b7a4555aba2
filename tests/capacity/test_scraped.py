"""What an engine's own page says is taken where nobody stated it, and what no client sees is said."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from capacity.calibration.limits import EngineLimits
from capacity.calibration.scraped import (
    EnginePage,
    engine_page,
    joined,
    split_note,
    with_page,
)
from tests.capacity.runs import run
from tests.capacity.test_calibration import observed

URL = "http://127.0.0.1:8000/metrics"
INFO = 'block_size="32",cache_dtype="auto",num_gpu_blocks="6153"'


def scraped(rows, deltas=None):
    """A run whose engine had these samples: second, metric, value."""
    made = run()
    table = [
        (0.0, URL, "vllm:cache_config_info", INFO, 1.0),
        *((s, URL, metric, "", value) for s, metric, value in rows),
    ]
    server = pd.DataFrame(table, columns=["second", "target", "metric", "labels", "value"])
    grown = {f"{URL} {name}": value for name, value in (deltas or {}).items()}
    return replace(made, server=server, info=replace(made.info, server_deltas=grown))


def busy(running, used, seconds=(2.0, 4.0, 6.0)):
    rows = [
        ("vllm:num_requests_running", running),
        ("vllm:num_requests_waiting", 5.0),
        ("vllm:kv_cache_usage_perc", used),
    ]
    return [(second, metric, value) for second in seconds for metric, value in rows]


def test_the_blocks_of_the_page_are_the_limit_that_nobody_stated():
    """6,153 blocks of 32 tokens, unless they are stated."""
    page = engine_page(scraped([]))
    assert page.fill(EngineLimits()) == EngineLimits(block_tokens=32, kv_blocks=6153)
    assert page.fill(EngineLimits(kv_blocks=10)).kv_blocks == 10
    assert page.notes(EngineLimits()) == ("6,153 KV blocks, by the engine's own page",)


@pytest.mark.parametrize(("used", "limit"), [(0.4, 64), (0.97, None)])
def test_requests_that_stand_still_while_others_wait_are_the_limit_unless_the_memory_is_full(used, limit):
    assert engine_page(scraped(busy(64.0, used))).max_num_seqs == limit


def test_a_moment_is_no_plateau():
    assert engine_page(scraped(busy(64.0, 0.4, seconds=(2.0,)))).max_num_seqs is None


def test_pages_that_disagree_say_nothing():
    pages = [EnginePage(kv_blocks=100, max_num_seqs=8), EnginePage(kv_blocks=200, max_num_seqs=16)]
    assert joined(pages) == EnginePage(max_num_seqs=16)


def test_the_share_of_hits_is_taken_from_the_counters():
    page = engine_page(scraped([], {"vllm:prefix_cache_queries_total": 4000, "vllm:prefix_cache_hits_total": 1000}))
    assert with_page(observed(4.0), page).hit_ratio == 0.25


def test_speculation_is_said_to_be_no_part_of_the_model():
    drafts = {"vllm:spec_decode_num_draft_tokens_total": 500, "vllm:spec_decode_num_accepted_tokens_total": 300}
    (_, note) = engine_page(scraped([], drafts)).notes(EngineLimits())
    assert "speculative decoding was on (60% of drafted tokens accepted): not modelled" in note


def test_first_tokens_are_split_as_the_engines_own_histograms_say():
    """40 s of waiting and 50 s of prefill over 200 requests: 0.2 s and 0.25 s of a mean TTFT of half a second."""
    grown = {
        "vllm:request_queue_time_seconds_sum": 40.0,
        "vllm:request_queue_time_seconds_count": 200.0,
        "vllm:request_prefill_time_seconds_sum": 50.0,
        "vllm:request_prefill_time_seconds_count": 200.0,
    }
    whole = observed(1.0, 200)
    whole = replace(whole, ttft_s=np.full_like(whole.ttft_s, 0.5))
    step = with_page(whole, engine_page(scraped([], grown)))
    assert (step.engine.queue_s, step.engine.prefill_s) == (0.2, 0.25)
    (note,) = split_note(step)
    assert (
        "0.5 s the engine's own histograms say 0.2 s of queue and 0.25 s of prefill, which leaves 0.05 s to the front"
        in note
    )
    assert split_note(whole) == []


@pytest.mark.parametrize("page", [EnginePage(queue_s=0.2), EnginePage(queue_s=0.4, prefill_s=0.3)])
def test_histograms_of_other_requests_or_of_half_the_way_split_nothing(page):
    """Parts of 0.7 s are not of first tokens of 0.5 s on average."""
    whole = observed(1.0, 200)
    whole = replace(whole, ttft_s=np.full_like(whole.ttft_s, 0.5))
    assert with_page(whole, page).engine is None
