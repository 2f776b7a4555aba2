"""What is known of an engine before it is measured, worked out by hand from its public configuration."""

import pytest

from capacity.calibration.known import known_engine


def test_kv_memory_is_what_the_weights_leave():
    """Qwen3-32B in FP8 on one H100: 0.9 x 80 GB - 32.76 GB over 64 layers x 8 heads x 128 x 2 values of one byte."""
    known = known_engine("Qwen/Qwen3-32B", "h100-80gb sxm", 1.0, 1, "fp8", "trtllm 1.0")
    assert known.kv_tokens[0] == pytest.approx((72e9 - 32.762123264e9) / 131_072)
    assert known.kv_tokens[1] == pytest.approx(known.kv_tokens[0] / 2)
    assert known.preempts is False


def test_a_latent_is_kept_whole_by_every_chip():
    """DeepSeek-R1 in FP4 on 8 B200: each chip holds all 61 x 576 values of a token."""
    known = known_engine("nvidia/DeepSeek-R1-NVFP4", "b200 sxm", 8.0, 8, "fp4", "vllm 0.19")
    assert known.kv_tokens[0] == pytest.approx((0.9 * 179e9 * 8 - 671e9 * 0.5625) / (61 * 576 * 8))
    assert (known.experts_ratio, known.preempts) == (32.0, True)


def test_a_prompt_token_takes_two_operations_per_active_parameter():
    """Half of 989.5 TFLOPS: 2 x 32.76e9 / 494.75e12 s on one H100."""
    known = known_engine("qwen3-32b", "h100-80gb sxm", 1.0, 1, "bf16", "vllm")
    assert known.prefill_s_per_token == pytest.approx(2 * 32.762123264e9 / 494.75e12)


def test_of_a_model_or_chip_that_facts_lack_nothing_is_said():
    assert known_engine("my/own-13b", "h100-80gb sxm", 1.0, 1, "fp8", "vllm").kv_tokens == ()
    assert known_engine("qwen3-32b", "abacus", 1.0, 1, "fp8", "vllm").prefill_s_per_token is None
    assert known_engine("qwen3-32b", "h100-80gb sxm", 1.0, 1, "bf16", "vllm").kv_tokens  # fits
    assert (
        known_engine("llama-3.1-70b", "h100-80gb sxm", 1.0, 1, "bf16", "vllm").kv_tokens == ()
    )  # weights alone do not
