"""Work and peaks: ceilings that no true measurement passes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuron_bench.models.presets import PRESETS
from neuron_bench.trace.cases import decode, prefill
from neuron_bench.trace.roofline import Peaks, core_memory_bytes, memory_bytes, peaks, shares, work

LLAMA = PRESETS["llama-3.1-8b"]


def test_a_long_prompt_takes_two_operations_per_weight_and_token() -> None:
    """8B weights less head and table, 1,024 tokens: 14.4 TFLOP and attention on top."""
    flops = work(LLAMA, prefill(1, 1024, "bfloat16")).flops
    weights = 2 * 1024 * (LLAMA.params - 2 * 128256 * 4096)
    assert weights < flops < 1.1 * weights


def test_decode_reads_every_weight_and_its_cache() -> None:
    """15 GB of bfloat16 weights; 131,072 bytes for a token of context."""
    one, four = (work(LLAMA, decode(batch, 4096, "bfloat16")).bytes for batch in (1, 4))
    assert four - one == 3 * 4096 * 131072
    assert one == pytest.approx(15.5e9, rel=0.02)


@given(batch=st.integers(1, 64), tokens=st.integers(1, 4096))
def test_more_work_is_never_less(batch: int, tokens: int) -> None:
    """One more request, or one more token, adds operations and never takes bytes away."""
    base = work(LLAMA, prefill(batch, tokens, "bfloat16"))
    for more in (prefill(batch + 1, tokens, "bfloat16"), prefill(batch, tokens + 1, "bfloat16")):
        assert work(LLAMA, more).flops > base.flops
        assert work(LLAMA, more).bytes >= base.bytes


def test_peaks_come_from_the_chip_table() -> None:
    """Eight cores are two Trainium2: 1,334 TFLOPS and 5.8 TB/s; a CPU has no row, so no share."""
    assert peaks("trainium2", 8, "bfloat16") == Peaks(2 * 667e12, 2 * 2900e9)
    assert peaks("trainium2", 1, "bfloat16") == Peaks(667e12 / 4, 2900e9 / 4)
    assert peaks("inferentia2", 1, "bfloat16") == Peaks(190e12 / 2, 880.5e9 / 2)
    assert peaks("l4", 1, "bfloat16") == Peaks(121e12, 300e9)
    assert peaks(None, 1, "bfloat16") == Peaks(None, None)
    assert shares(work(LLAMA, decode(1, 256, "bfloat16")), 1.0, Peaks(None, None)) == (None, None)


def test_a_model_must_fit_one_core() -> None:
    """8B weights in bfloat16 are 15 GiB, a core of Inferentia2 has 16: 16 requests of 4,096 tokens are too much."""
    room = core_memory_bytes("inferentia2")
    assert room == 16 * 2**30
    assert memory_bytes(LLAMA, decode(1, 1024, "bfloat16")) < room < memory_bytes(LLAMA, decode(16, 4096, "bfloat16"))
    assert core_memory_bytes("no such chip") is None


def test_a_step_faster_than_memory_shows_above_one() -> None:
    """Reading 15 GB in 1 ms on one Trainium2 is five times what it can."""
    done = work(LLAMA, decode(1, 256, "bfloat16"))
    assert (shares(done, 1e-3, peaks("trainium2", 4, "bfloat16"))[1] or 0) > 5
