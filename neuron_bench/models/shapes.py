"""What a model is made of, with exact counts of weights, of work per token and of what a token of context keeps.

Every count follows from the tensors of the public implementation of each family (the modelling files of transformers);
docs/neuron.md lists the families, and a test holds thirty public models to their published totals.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal


@dataclass(frozen=True)
class Rope:
    """Rotary positions. `rotary_dim`: numbers of a head that turn; None = all. `kind`: default, linear, llama3, yarn.

    local_theta: of sliding layers, where a model turns them apart (Gemma 3); they are never scaled.
    """

    theta: float = 500_000.0
    kind: str = "default"
    factor: float = 1.0
    rotary_dim: int | None = None
    low_freq_factor: float = 1.0
    high_freq_factor: float = 4.0
    original_context_tokens: int = 0
    beta_fast: float = 32.0
    beta_slow: float = 1.0
    attention_factor: float | None = None
    local_theta: float | None = None


@dataclass(frozen=True)
class Experts:
    """A mixture-of-experts MLP. `layers`: how many of the decoder's layers have one; the rest are dense.

    shared_mlp: width of the expert every token passes (0 = none); shared_gate: a gate of its own on it.
    """

    count: int
    active: int
    mlp: int
    layers: int
    shared_mlp: int = 0
    shared_gate: bool = False
    bias: bool = False


@dataclass(frozen=True)
class DecoderShape:
    """A decoder: rotary positions, grouped-query attention, (gated) MLP or experts. Defaults are Llama's.

    qk_norm: None, "head" (one norm of head_dim for queries, one for keys) or "full" (over all heads). norm: "rms",
    "layer" (with bias) or "none" (without weights). norms: per layer. parallel: attention and MLP read one norm and add
    to one residual. not_built: parts that `--method trace` does not build, by name; counts and work hold them all.
    """

    name: str
    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    mlp: int
    vocab: int
    context_tokens: int
    tied_embeddings: bool = False
    rope: Rope = Rope()
    norm_eps: float = 1e-5
    norm: str = "rms"
    norms: int = 2
    norm_plus_one: bool = False
    post_norm: bool = False
    qk_norm: str | None = None
    qkv_bias: bool = False
    out_bias: bool = False
    mlp_bias: bool = False
    head_bias: bool = False
    sinks: bool = False
    gated: bool = True
    activation: str = "silu"
    parallel: bool = False
    sliding_window: int | None = None
    sliding_layers: tuple[int, ...] = ()
    attention_scale: float | None = None
    attention_softcap: float | None = None
    logit_softcap: float | None = None
    embedding_scale: float | None = None
    experts: Experts | None = None
    quantisation: str | None = None
    not_built: tuple[str, ...] = ()
    kind: Literal["decoder"] = "decoder"

    @property
    def params(self) -> int:
        """Every weight, counted; all experts."""
        return self._params(None if self.experts is None else self.experts.count)

    @property
    def active_params(self) -> int:
        """Weights that one token meets: those of the experts it is sent to, and everything else."""
        return self._params(None if self.experts is None else self.experts.active)

    def _params(self, experts: float | None) -> int:
        embeddings = self.vocab * self.hidden * (1 if self.tied_embeddings else 2)
        head_bias = self.vocab if self.head_bias else 0
        attention = self.layers * (self._attention_weights + self._attention_rest)
        norms = (self.layers * self.norms + 1) * self._norm_weights
        return round(attention + self._mlp_weights(experts) + norms + embeddings + head_bias)

    @property
    def _norm_weights(self) -> int:
        return {"rms": self.hidden, "layer": 2 * self.hidden, "layer_no_bias": self.hidden, "none": 0}[self.norm]

    @property
    def _attention_weights(self) -> int:
        """Matrices of one layer's attention."""
        return self.hidden * self.head_dim * 2 * (self.heads + self.kv_heads)

    @property
    def _attention_rest(self) -> int:
        """Biases, norms and sinks of one layer's attention."""
        wide, narrow = self.heads * self.head_dim, self.kv_heads * self.head_dim
        norms = {None: 0, "head": 2 * self.head_dim, "full": wide + narrow}[self.qk_norm]
        biases = (wide + 2 * narrow if self.qkv_bias else 0) + (self.hidden if self.out_bias else 0)
        return norms + biases + (self.heads if self.sinks else 0)

    def _mlp_of(self, width: int, bias: bool) -> int:
        """One MLP of a width."""
        ways = 2 if self.gated else 1
        return (ways + 1) * self.hidden * width + (ways * width + self.hidden if bias else 0)

    def _mlp_weights(self, experts: float | None) -> float:
        """Of all layers, with so many experts in each that has them."""
        if self.experts is None or experts is None:
            return self.layers * self._mlp_of(self.mlp, self.mlp_bias)
        moe = self.experts
        router = moe.count * (self.hidden + (1 if moe.bias else 0))
        shared = self._mlp_of(moe.shared_mlp, False) if moe.shared_mlp else 0
        each = router + shared + (self.hidden if moe.shared_gate else 0) + experts * self._mlp_of(moe.mlp, moe.bias)
        return moe.layers * each + (self.layers - moe.layers) * self._mlp_of(self.mlp, self.mlp_bias)

    @property
    def matmul_params(self) -> int:
        """Weights that a token multiplies: all it meets but the embedding table and the norms."""
        norms = (self.layers * self.norms + 1) * self._norm_weights
        return self.active_params - norms - (0 if self.tied_embeddings else self.vocab * self.hidden)

    def weights_read(self, tokens: int) -> float:
        """Weights that a step of so many tokens reads: of its experts, those that at least one token is sent to.

        Expected distinct experts of t tokens, each sent to k of E at random: E (1 - (1 - k/E)^t).
        """
        norms = (self.layers * self.norms + 1) * self._norm_weights
        table = 0 if self.tied_embeddings else self.vocab * self.hidden
        if self.experts is None:
            return self.params - norms - table
        moe = self.experts
        distinct = moe.count * (1 - (1 - moe.active / moe.count) ** tokens)
        return self._params(distinct) - norms - table

    @property
    def kv_values_per_token(self) -> int:
        """Numbers kept per token of context: keys and values of every layer."""
        return 2 * self.layers * self.kv_heads * self.head_dim

    def kv_values(self, context_tokens: int) -> int:
        """Numbers kept for a context: a sliding layer keeps its window at most."""
        per_layer = 2 * self.kv_heads * self.head_dim
        near = min(context_tokens, self.sliding_window or context_tokens)
        sliding = len(self.sliding_layers)
        return per_layer * ((self.layers - sliding) * context_tokens + sliding * near)


@dataclass(frozen=True)
class EncoderShape:
    """A BERT-shaped encoder. `labels` = 0 gives an embedder, else a classifier of that many labels.

    family: bert (pooler, token types), roberta (as bert; its classifier has a layer of its own and no pooler),
    distilbert (neither types nor pooler) or modernbert (rotary, gated, no biases; its classifier has a head and norm).
    """

    name: str
    layers: int
    hidden: int
    heads: int
    mlp: int
    vocab: int
    context_tokens: int
    labels: int = 0
    types: int = 2
    norm_eps: float = 1e-12
    family: str = "bert"
    positions: int | None = None
    activation: str = "gelu"
    quantisation: str | None = None
    not_built: tuple[str, ...] = ()
    kind: Literal["encoder"] = "encoder"

    @property
    def params(self) -> int:
        """Every weight and bias, counted; the classifier's head included."""
        if self.family == "modernbert":
            return self._modern_params
        h, norm = self.hidden, 2 * self.hidden
        embeddings = (self.vocab + (self.positions or self.context_tokens) + self.types) * h + norm
        layer = 4 * (h * h + h) + (h * self.mlp + self.mlp) + (self.mlp * h + h) + 2 * norm
        return embeddings + self.layers * layer + self._head_params

    @property
    def _head_params(self) -> int:
        """The dense layer that a family puts before its labels (BERT's pooler is there without labels too)."""
        h = self.hidden
        dense = h * h + h if self.family == "bert" or self.labels else 0
        if self.family == "roberta" and not self.labels:
            dense = h * h + h  # the base model's pooler; its classifier replaces it
        return dense + self.labels * (h + 1)

    @property
    def _modern_params(self) -> int:
        """ModernBERT: no biases; the first layer has no norm before its attention; a norm at the end."""
        h = self.hidden
        layer = 4 * h * h + 3 * h * self.mlp + 2 * h
        head = h * h + h + self.labels * (h + 1) if self.labels else 0
        return self.vocab * h + h + self.layers * layer - h + h + head

    @property
    def matmul_params(self) -> int:
        """Weights that every token multiplies: those of the layers."""
        ways = 3 if self.family == "modernbert" else 2
        return self.layers * (4 * self.hidden**2 + ways * self.hidden * self.mlp)

    @property
    def active_params(self) -> int:
        """All of them."""
        return self.params


Shape = DecoderShape | EncoderShape


def shape_json(shape: Shape) -> dict[str, object]:
    """For a child process or an artifact key."""
    return asdict(shape)
