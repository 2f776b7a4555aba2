# mypy: disable-error-code="misc, no-any-return"
# torch is untyped where it is absent, as on the machine that checks types.
"""A Llama-shaped decoder whose keys and values live in caches of fixed length, so that every shape is static.

One module does both phases: `tokens` of shape (batch, n) are written at `position` and on of the caches and attend to
everything up to themselves. Prefill is n = prompt length at position 0; decode is n = 1.
Nothing here is imported from transformers: it runs on torch 2.9 and 2.13 alike.
"""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor, nn

from neuron_bench.models.shapes import DecoderShape, Rope


class RmsNorm(nn.Module):
    """Root-mean-square norm, computed in float32. `plus_one`: the weight counts from one, as in Gemma."""

    def __init__(self, hidden: int, eps: float, plus_one: bool = False) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(hidden) if plus_one else torch.ones(hidden))
        self.eps, self.plus_one = eps, plus_one

    def forward(self, x: Tensor) -> Tensor:
        """Same shape and dtype as `x`."""
        wide = x.float()
        scaled = wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + self.eps)
        if self.plus_one:
            return (scaled * (1.0 + self.weight.float())).to(x.dtype)
        return self.weight * scaled.to(x.dtype)


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary positions, halves apart as in Llama. x: (batch, heads, n, rotary_dim); cos, sin: (n, rotary_dim)."""
    low, high = x.chunk(2, dim=-1)
    return x * cos + torch.cat((-high, low), dim=-1) * sin


class Activation(nn.Module):
    """The MLP's activation by its name in the shape."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def forward(self, x: Tensor) -> Tensor:
        """Same shape as `x`."""
        if self.name == "gelu_tanh":
            return nn.functional.gelu(x, approximate="tanh")
        return {"silu": nn.functional.silu, "gelu": nn.functional.gelu, "relu": nn.functional.relu}[self.name](x)


class Layer(nn.Module):
    """One decoder layer. Its caches have shape (batch, kv_heads, cache_tokens, head_dim).

    They are parameters, not buffers: `torch_neuronx.trace` takes its state tensors from parameters.
    """

    def __init__(self, shape: DecoderShape, batch: int, cache_tokens: int, in_place: bool) -> None:
        super().__init__()
        self.shape, self.in_place = shape, in_place
        h, d = shape.hidden, shape.head_dim

        def norm(width: int) -> RmsNorm:
            return RmsNorm(width, shape.norm_eps, shape.norm_plus_one)

        self.norm_attention, self.norm_mlp = norm(h), norm(h)
        self.after_attention = norm(h) if shape.post_norm else nn.Identity()
        self.after_mlp = norm(h) if shape.post_norm else nn.Identity()
        self.norm_q = norm(d) if shape.qk_norm == "head" else nn.Identity()
        self.norm_k = norm(d) if shape.qk_norm == "head" else nn.Identity()
        self.q = nn.Linear(h, shape.heads * d, bias=shape.qkv_bias)
        self.k = nn.Linear(h, shape.kv_heads * d, bias=shape.qkv_bias)
        self.v = nn.Linear(h, shape.kv_heads * d, bias=shape.qkv_bias)
        self.o = nn.Linear(shape.heads * d, h, bias=shape.out_bias)
        self.gate = nn.Linear(h, shape.mlp, bias=shape.mlp_bias)
        self.up = nn.Linear(h, shape.mlp, bias=shape.mlp_bias)
        self.down = nn.Linear(shape.mlp, h, bias=shape.mlp_bias)
        self.activation = Activation(shape.activation)
        self.scale = shape.attention_scale or d**-0.5
        cache = (batch, shape.kv_heads, cache_tokens, d)
        self.keys = nn.Parameter(torch.zeros(cache), requires_grad=False)
        self.values = nn.Parameter(torch.zeros(cache), requires_grad=False)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, index: Tensor, hidden: Tensor) -> tuple[Tensor, ...]:
        """x after the layer, and the caches with these tokens written at `index` (n,)."""
        normed = self.norm_attention(x)
        new_keys = self._turn(self.norm_k(self._split(self.k(normed), self.shape.kv_heads)), cos, sin)
        keys = self._write(self.keys, index, new_keys)
        values = self._write(self.values, index, self._split(self.v(normed), self.shape.kv_heads))
        queries = self._turn(self.norm_q(self._split(self.q(normed), self.shape.heads)), cos, sin)
        x = x + self.after_attention(self.o(self._attend(queries, keys, values, hidden)))
        normed = self.norm_mlp(x)
        return x + self.after_mlp(self.down(self.activation(self.gate(normed)) * self.up(normed))), keys, values

    def _turn(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """Rotary positions on the part of each head that turns; the rest passes."""
        dim = self.shape.rope.rotary_dim
        if dim is None:
            return rotate(x, cos, sin)
        return torch.cat((rotate(x[..., :dim], cos, sin), x[..., dim:]), dim=-1)

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
        scores = (grouped @ keys.transpose(2, 3)).float() * self.scale
        if self.shape.attention_softcap is not None:
            scores = torch.tanh(scores / self.shape.attention_softcap) * self.shape.attention_softcap
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
        self.norm = RmsNorm(shape.hidden, shape.norm_eps, shape.norm_plus_one)
        self.head = nn.Linear(shape.hidden, shape.vocab, bias=shape.head_bias)
        if shape.tied_embeddings:
            self.head.weight = self.embedding.weight
        local = replace(shape.rope, kind="default", theta=shape.rope.local_theta or shape.rope.theta)
        tables = [*rotary(shape.rope, shape.head_dim, cache_tokens), *rotary(local, shape.head_dim, cache_tokens)]
        for name, table in zip(("cos", "sin", "local_cos", "local_sin"), tables, strict=True):
            self.register_buffer(name, table, persistent=False)
        self.cos: Tensor
        self.sin: Tensor
        self.local_cos: Tensor
        self.local_sin: Tensor
        self.turns_apart = shape.rope.local_theta is not None

    def forward(self, tokens: Tensor, position: Tensor) -> tuple[Tensor, ...]:
        """Logits of the last token (batch, vocab); unless `in_place`, then the new keys and values of every layer.

        tokens: int64 (batch, n). position: int64 (1,), where the first of them goes: all requests of a batch stand at
        the same place. Out of place, `input_output_aliases` of the compiled graph puts the caches back.
        """
        index = position + torch.arange(tokens.shape[1], device=tokens.device)
        places = torch.arange(self.cos.shape[0], device=tokens.device)[None, :]
        hidden = places > index[:, None]
        far = hidden | (places <= index[:, None] - (self.shape.sliding_window or self.cos.shape[0]))
        whole = (self.cos[index], self.sin[index])
        near = (self.local_cos[index], self.local_sin[index]) if self.turns_apart else whole
        x = self.embedding(tokens)
        if self.shape.embedding_scale is not None:
            x = x * self.shape.embedding_scale
        caches: list[Tensor] = []
        for place, layer in enumerate(self.layers):
            slides = place in self.shape.sliding_layers
            cos, sin = near if slides else whole
            x, keys, values = layer(x, cos, sin, index, far if slides else hidden)
            caches += (keys, values)
        logits = self.head(self.norm(x[:, -1]))
        if self.shape.logit_softcap is not None:
            logits = torch.tanh(logits / self.shape.logit_softcap) * self.shape.logit_softcap
        return (logits,) if self.in_place else (logits, *caches)

    def caches(self) -> list[nn.Parameter]:
        """Keys and values in the order `forward` returns them."""
        return [cache for layer in self.layers for cache in (layer.keys, layer.values)]

    def weights(self) -> list[nn.Parameter]:
        """Every parameter that is no cache."""
        state = {id(cache) for cache in self.caches()}
        return [parameter for parameter in self.parameters() if id(parameter) not in state]


def rotary(rope: Rope, head_dim: int, length: int) -> tuple[Tensor, Tensor]:
    """(cos, sin), each (length, rotary_dim). Source: Su et al. 2021, halves apart as in Llama.

    Scalings as transformers' modeling_rope_utils computes them: linear divides every frequency; llama3 divides those
    whose wavelength exceeds the old context and blends between; yarn blends by how often a dimension turns within the
    old context, and scales cos and sin.
    """
    dim = rope.rotary_dim or head_dim
    frequency = rope.theta ** -(torch.arange(0, dim, 2, dtype=torch.float64) / dim)
    magnitude = 1.0
    if rope.kind == "linear":
        frequency = frequency / rope.factor
    if rope.kind == "llama3":
        frequency = _llama3(rope, frequency)
    if rope.kind == "yarn":
        frequency = _yarn(rope, frequency, dim)
        magnitude = rope.attention_factor or 0.1 * math.log(rope.factor) + 1.0
    angle = torch.outer(torch.arange(length, dtype=torch.float64), frequency)
    angle = torch.cat((angle, angle), dim=-1)
    return (angle.cos() * magnitude).float(), (angle.sin() * magnitude).float()


def _llama3(rope: Rope, frequency: Tensor) -> Tensor:
    turns = rope.original_context_tokens * frequency / (2 * math.pi)
    blend = (turns - rope.low_freq_factor) / (rope.high_freq_factor - rope.low_freq_factor)
    return frequency * (blend.clamp(0, 1) * (1 - 1 / rope.factor) + 1 / rope.factor)


def _yarn(rope: Rope, frequency: Tensor, dim: int) -> Tensor:
    def place(turns: float) -> float:
        """The dimension that turns so often within the old context."""
        return dim * math.log(rope.original_context_tokens / (turns * 2 * math.pi)) / (2 * math.log(rope.theta))

    low, high = max(math.floor(place(rope.beta_fast)), 0), min(math.ceil(place(rope.beta_slow)), dim - 1)
    ramp = ((torch.arange(dim // 2, dtype=torch.float64) - low) / max(high - low, 0.001)).clamp(0, 1)
    return frequency * (1 - ramp) + frequency / rope.factor * ramp


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
