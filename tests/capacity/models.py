"""Step models for tests: small, exact, and one of the size of an 8B model on an Inferentia2 replica."""

from neuron_bench.step_model import Coefficients, StepModel


def step_model(
    a=0.01,
    b=0.0,
    e=0.0,
    c=0.0,
    d=0.0,
    *,
    max_num_seqs=256,
    max_batched_tokens=8192,
    kv_tokens=1_000_000,
    block_tokens=1,
    buckets=None,
    **other,
):
    """A step model; kv_tokens counts blocks; buckets = [(a, bucket_tokens, bucket_seqs), ...] for a padded engine."""
    rows = (
        (Coefficients(a, b, e, c, d),)
        if buckets is None
        else tuple(Coefficients(a_i, b, e, c, d, tokens, seqs) for a_i, tokens, seqs in buckets)
    )
    fields = {
        "model_id": "test-8b",
        "chip": "inferentia2",
        "tp": 8,
        "chips_per_replica": 4.0,
        "ttft_overhead_s": 0.0,
        "gap_overhead_s": 0.0,
        "provenance": "derived",
        "relative_error": 0.2,
        "engine": "test",
        "version": "1",
        "date": "2026-11-01",
        "source": "a test",
    } | other
    return StepModel(
        buckets=rows,
        max_num_seqs=max_num_seqs,
        max_batched_tokens=max_batched_tokens,
        block_tokens=block_tokens,
        kv_blocks=kv_tokens,
        **fields,
    )


def llama_8b(chip="inferentia2", **other):
    """About what published load curves of Llama-3.1-8B on one replica of four Inferentia2 chips say."""
    values = {
        "a": 0.024,
        "b": 2.5e-4,
        "e": 0.0,
        "c": 4e-4,
        "d": 0.0,
        "max_num_seqs": 32,
        "max_batched_tokens": 2048,
        "kv_tokens": 32 * 4096,
        "model_id": "meta-llama/Meta-Llama-3.1-8B-Instruct",
        "chip": chip,
    } | other
    return step_model(**values)
