# mypy: disable-error-code="misc, no-any-return"
# torch is untyped where it is absent, as on the machine that checks types.
"""A BERT-shaped encoder: classifier (the router) or embedder (mean pooling, unit length)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from neuron_bench.child.decoder import Activation
from neuron_bench.models.shapes import EncoderShape


class EncoderLayer(nn.Module):
    """Attention and MLP, each with its norm after the residual, as in BERT."""

    def __init__(self, shape: EncoderShape) -> None:
        super().__init__()
        h = shape.hidden
        self.heads = shape.heads
        self.q, self.k, self.v, self.o = (nn.Linear(h, h) for _ in range(4))
        self.norm_attention = nn.LayerNorm(h, eps=shape.norm_eps)
        self.up, self.down = nn.Linear(h, shape.mlp), nn.Linear(shape.mlp, h)
        self.norm_mlp = nn.LayerNorm(h, eps=shape.norm_eps)
        self.activation = Activation(shape.activation)

    def forward(self, x: Tensor, padding: Tensor) -> Tensor:
        """padding: (batch, 1, 1, n), True where there is no token."""
        batch, n, hidden = x.shape
        q, k, v = (part(x).view(batch, n, self.heads, -1).transpose(1, 2) for part in (self.q, self.k, self.v))
        scores = (q @ k.transpose(2, 3)).float() * q.shape[-1] ** -0.5
        shares = scores.masked_fill(padding, float("-inf")).softmax(-1).to(v.dtype)
        x = self.norm_attention(x + self.o((shares @ v).transpose(1, 2).reshape(batch, n, hidden)))
        return self.norm_mlp(x + self.down(self.activation(self.up(x))))


class Encoder(nn.Module):
    """Logits (batch, labels), or with no labels a unit vector (batch, hidden)."""

    def __init__(self, shape: EncoderShape) -> None:
        super().__init__()
        h = shape.hidden
        self.words = nn.Embedding(shape.vocab, h)
        rows = shape.positions or shape.context_tokens
        self.positions = nn.Embedding(rows, h)
        self.first = rows - shape.context_tokens  # RoBERTa's first positions stand for padding
        self.types = nn.Embedding(shape.types, h)
        self.norm = nn.LayerNorm(h, eps=shape.norm_eps)
        self.layers = nn.ModuleList(EncoderLayer(shape) for _ in range(shape.layers))
        self.pooler = nn.Linear(h, h)
        self.head = nn.Linear(h, shape.labels) if shape.labels else None

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """tokens, mask: int64 (batch, n); mask is 1 where there is a token."""
        place = torch.arange(tokens.shape[1], device=tokens.device)
        x = self.norm(self.words(tokens) + self.positions(place + self.first) + self.types.weight[0])
        for layer in self.layers:
            x = layer(x, (mask == 0)[:, None, None, :])
        if self.head is not None:
            return self.head(torch.tanh(self.pooler(x[:, 0])))
        weights = mask[:, :, None].to(x.dtype)
        return nn.functional.normalize((x * weights).sum(1) / weights.sum(1), dim=-1)


def build_encoder(shape: EncoderShape, *, dtype: str, device: str, seed: int) -> Encoder:
    """An encoder in eval mode with random weights from `seed`."""
    torch.manual_seed(seed)
    return Encoder(shape).to(device=device, dtype=getattr(torch, dtype)).eval().requires_grad_(False)
