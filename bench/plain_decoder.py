"""The preset nano as a plain PyTorch loop, written apart from the bench: what its quick suite is held against.

    python -m bench.plain_decoder

One thread, float32, medians of wall time in milliseconds; once with PyTorch's fused attention, and once with the scores
written out over the whole cache, as a static graph on a chip computes them and as the bench does.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import torch
from torch.nn import functional as nn

LAYERS, HIDDEN, HEADS, KV_HEADS, DIM, MLP, VOCAB = 4, 256, 8, 4, 32, 704, 1024
Weights = list[dict[str, torch.Tensor]]


def weights() -> tuple[torch.Tensor, torch.Tensor, Weights]:
    """Random ones: embedding, head and layers."""
    torch.manual_seed(1)

    def matrix(rows: int, columns: int) -> torch.Tensor:
        return torch.randn(rows, columns) * columns**-0.5

    sizes = {"q": (HEADS * DIM, HIDDEN), "k": (KV_HEADS * DIM, HIDDEN), "v": (KV_HEADS * DIM, HIDDEN)}
    sizes |= {"o": (HIDDEN, HEADS * DIM), "gate": (MLP, HIDDEN), "up": (MLP, HIDDEN), "down": (HIDDEN, MLP)}
    layers = [{name: matrix(*size) for name, size in sizes.items()} for _ in range(LAYERS)]
    return torch.randn(VOCAB, HIDDEN), matrix(VOCAB, HIDDEN), layers


def turn(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """Rotary positions, halves apart."""
    left, right = x.chunk(2, -1)
    return x * cos + torch.cat((-right, left), -1) * sin


def written_out(q: torch.Tensor, cache: torch.Tensor, start: int) -> torch.Tensor:
    """Grouped attention over every place of the cache, those after each token masked."""
    batch, _, length, _ = q.shape
    keys, values = cache
    grouped = q.reshape(batch, KV_HEADS, -1, DIM)
    later = torch.arange(keys.shape[2])[None, :] > torch.arange(start, start + length)[:, None]
    scores = (grouped @ keys.transpose(2, 3)) * DIM**-0.5
    shares = scores.masked_fill(later.repeat(HEADS // KV_HEADS, 1), float("-inf")).softmax(-1)
    return (shares @ values).view(batch, HEADS, length, DIM)


def stepper(batch: int, length: int, start: int, cache_tokens: int, fused: bool) -> Callable[[], torch.Tensor]:
    """One step of so many tokens at a place of the caches, for timing."""
    embedding, head, layers = weights()
    caches = [torch.zeros(2, batch, KV_HEADS, cache_tokens, DIM) for _ in layers]
    angle = torch.outer(torch.arange(start, start + length), 1e4 ** -(torch.arange(0, DIM, 2) / DIM))
    cos, sin = torch.cat((angle, angle), -1).cos(), torch.cat((angle, angle), -1).sin()
    tokens, end = torch.randint(0, VOCAB, (batch, length)), start + length

    def step() -> torch.Tensor:
        x = nn.embedding(tokens, embedding)
        for layer, cache in zip(layers, caches, strict=True):
            normed = nn.rms_norm(x, (HIDDEN,))
            q, k, v = (
                nn.linear(normed, layer[name]).view(batch, length, -1, DIM).transpose(1, 2) for name in ("q", "k", "v")
            )
            cache[0, :, :, start:end], cache[1, :, :, start:end] = turn(k, cos, sin), v
            turned, (keys, values) = turn(q, cos, sin), cache[:, :, :, :end]
            seen = (
                nn.scaled_dot_product_attention(turned, keys, values, is_causal=length > 1, enable_gqa=True)
                if fused
                else written_out(turned, cache, start)
            )
            x = x + nn.linear(seen.transpose(1, 2).reshape(batch, length, -1), layer["o"])
            normed = nn.rms_norm(x, (HIDDEN,))
            x = x + nn.linear(nn.silu(nn.linear(normed, layer["gate"])) * nn.linear(normed, layer["up"]), layer["down"])
        return nn.linear(nn.rms_norm(x[:, -1], (HIDDEN,)), head)

    return step


def median_ms(step: Callable[[], torch.Tensor], seconds: float = 2.0) -> float:
    """Median wall time over some seconds, after ten steps that do not count."""
    with torch.inference_mode():
        for _ in range(10):
            step()
        times, until = [], time.perf_counter() + seconds
        while time.perf_counter() < until:
            begun = time.perf_counter()
            step()
            times.append(time.perf_counter() - begun)
    return statistics.median(times) * 1e3


def main() -> None:
    """The four cases of the quick suite."""
    torch.set_num_threads(1)
    for fused, name in ((True, "fused"), (False, "written out")):
        for tokens in (64, 256):
            print(f"{name:<12} prefill-b1-t{tokens}  {median_ms(stepper(1, tokens, 0, tokens, fused)):.3f} ms")
        for batch in (1, 4):
            print(f"{name:<12} decode-b{batch}-t256  {median_ms(stepper(batch, 1, 192, 256, fused)):.3f} ms")


if __name__ == "__main__":
    main()
