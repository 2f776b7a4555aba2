# mypy: disable-error-code="misc, no-any-return"
# torch is untyped where it is absent, as on the machine that checks types.
"""A Llama-shaped decoder whose keys and values live in caches of fixed length, so that every shape is static.

One module does both phases: `tokens` of shape (batch, n) are written at `position` and on of the caches and attend to
everything up to themselves. Prefill is n = prompt length at position 0; decode is n = 1.
Nothing here is imported from transformers: it runs on torch 2.9 and 2.13 alike.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from neuron_bench.models.presets import DecoderShape


class RmsNorm(nn.Module):
    """Root-mean-square norm, computed in float32."""

    def __init__(self, hidden: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(hidden))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """Same shape and dtype as `x`."""
        wide = x.float()
        scaled = wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + self.eps)
        return self.weight * scaled.to(x.dtype)


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary positions, halves apart as in Llama. x: (batch, heads, n, head_dim); cos, sin: (n, head_dim)."""
    low, high = x.chunk(2, dim=-1)
    return x * cos + torch.cat((-high, low), dim=-1) * sin


class Layer(nn.Module):
    """One decoder layer. Its caches have shape (batch, kv_heads, cache_tokens, head_dim).

    They are parameters, not buffers: `torch_neuronx.trace` takes its state tensors from parameters.
    """

    def __init__(self, shape: DecoderShape, batch: int, cache_tokens: int, in_place: bool) -> None:
        super().__init__()
        self.shape, self.in_place = shape, in_place
        h, d = shape.hidden, shape.head_dim
        self.norm_attention = RmsNorm(h, shape.norm_eps)
        self.q = nn.Linear(h, shape.heads * d, bias=False)
        self.k = nn.Linear(h, shape.kv_heads * d, bias=False)
        self.v = nn.Linear(h, shape.kv_heads * d, bias=False)
        self.o = nn.Linear(shape.heads * d, h, bias=False)
        self.norm_mlp = RmsNorm(h, shape.norm_eps)
        self.gate = nn.Linear(h, shape.mlp, bias=False)
        self.up = nn.Linear(h, shape.mlp, bias=False)
        self.down = nn.Linear(shape.mlp, h, bias=False)
        cache = (batch, shape.kv_heads, cache_tokens, d)
        self.keys = nn.Parameter(torch.zeros(cache), requires_grad=False)
        self.values = nn.Parameter(torch.zeros(cache), requires_grad=False)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, index: Tensor, hidden: Tensor) -> tuple[Tensor, ...]:
        """x after the layer, and the caches with these tokens written at `index` (n,)."""
        normed = self.norm_attention(x)
        new_keys = rotate(self._split(self.k(normed), self.shape.kv_heads), cos, sin)
        keys = self._write(self.keys, index, new_keys)
        values = self._write(self.values, index, self._split(self.v(normed), self.shape.kv_heads))
        queries = rotate(self._split(self.q(normed), self.shape.heads), cos, sin)
        x = x + self.o(self._attend(queries, keys, values, hidden))
        normed = self.norm_mlp(x)
        return x + self.down(nn.functional.silu(self.gate(normed)) * self.up(normed)), keys, values

    def _write(self, cache: Tensor, index: Tensor, new: Tensor) -> Tensor:
        return cache.index_copy_(2, index, new) if self.in_place else cache.index_copy(2, index, new)

    def _split(self, x: Tensor, heads: int) -> Tensor:
        batch, n, _ = x.shape
        return x.view(batch, n, heads, self.shape.head_dim).transpose(1, 2)

    def _attend(self, queries: Tensor, keys: Tensor, values: Tensor, hidden: Tensor) -> Tensor:
        """Grouped-query attention without repeating the caches. hidden: (n, cache) is True where not to look."""
        batch, heads, n, d = queries.shape
        group = heads // self.shape.kv_heads
        grouped = queries.reshape(batch, self.shape.kv_heads, group * n, d)
        scores = (grouped @ keys.transpose(2, 3)).float() * d**-0.5
        shares = scores.masked_fill(hidden.repeat(group, 1), float("-inf")).softmax(-1).to(values.dtype)
        out = (shares @ values).view(batch, heads, n, d)
        return out.transpose(1, 2).reshape(batch, n, heads * d)


class Decoder(nn.Module):
    """Weights and caches of one batch size and one cache length."""

    def __init__(self, shape: DecoderShape, batch: int, cache_tokens: int, in_place: bool) -> None:
        super().__init__()
        self.shape, self.in_place = shape, in_place
        self.embedding = nn.Embedding(shape.vocab, shape.hidden)
        self.layers = nn.ModuleList(Layer(shape, batch, cache_tokens, in_place) for _ in range(shape.layers))
        self.norm = RmsNorm(shape.hidden, shape.norm_eps)
        self.head = nn.Linear(shape.hidden, shape.vocab, bias=False)
        if shape.tied_embeddings:
            self.head.weight = self.embedding.weight
        cos, sin = _rotary(shape, cache_tokens)
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)
        self.cos: Tensor
        self.sin: Tensor

    def forward(self, tokens: Tensor, position: Tensor) -> tuple[Tensor, ...]:
        """Logits of the last token (batch, vocab); unless `in_place`, then the new keys and values of every layer.

        tokens: int64 (batch, n). position: int64 (1,), where the first of them goes: all requests of a batch stand at
        the same place. Out of place, `input_output_aliases` of the compiled graph puts the caches back.
        """
        index = position + torch.arange(tokens.shape[1], device=tokens.device)
        hidden = torch.arange(self.cos.shape[0], device=tokens.device)[None, :] > index[:, None]
        cos, sin = self.cos[index], self.sin[index]
        x = self.embedding(tokens)
        caches: list[Tensor] = []
        for layer in self.layers:
            x, keys, values = layer(x, cos, sin, index, hidden)
            caches += (keys, values)
        logits = self.head(self.norm(x[:, -1]))
        return (logits,) if self.in_place else (logits, *caches)

    def caches(self) -> list[nn.Parameter]:
        """Keys and values in the order `forward` returns them."""
        return [cache for layer in self.layers for cache in (layer.keys, layer.values)]

    def weights(self) -> list[nn.Parameter]:
        """Every parameter that is no cache."""
        state = {id(cache) for cache in self.caches()}
        return [parameter for parameter in self.parameters() if id(parameter) not in state]


def _rotary(shape: DecoderShape, length: int) -> tuple[Tensor, Tensor]:
    """(cos, sin), each (length, head_dim). Source: Su et al. 2021, halves apart as in Llama."""
    exponent = torch.arange(0, shape.head_dim, 2, dtype=torch.float64) / shape.head_dim
    angle = torch.outer(torch.arange(length, dtype=torch.float64), shape.rope_theta**-exponent)
    angle = torch.cat((angle, angle), dim=-1)
    return angle.cos().float(), angle.sin().float()


def build_decoder(
    shape: DecoderShape, *, batch: int, cache_tokens: int, dtype: str, device: str, seed: int, in_place: bool = True
) -> Decoder:
    """A decoder in eval mode with random weights from `seed`; scaled so that activations stay finite at any depth."""
    torch.manual_seed(seed)
    model = Decoder(shape, batch, cache_tokens, in_place).to(device=device, dtype=getattr(torch, dtype)).eval()
    model.requires_grad_(False)
    for weight in model.weights():
        if weight.dim() > 1:
            nn.init.normal_(weight, std=weight.shape[-1] ** -0.5)
    return model
