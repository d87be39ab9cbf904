"""What a decoder-only transformer is made of, as plain data: layers, their attention and feed-forward parts.

Nothing here knows a device or a time. `parameters` methods count weights exactly as the published
checkpoints do; `graph.py` turns the same data into operators.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Latent:
    """Multi-head latent attention (DeepSeek-V2, arXiv:2405.04434, section 2.1)."""

    kv_rank: int
    q_rank: int | None
    nope_dim: int
    rope_dim: int


@dataclass(frozen=True, slots=True)
class Attention:
    """Self-attention of one layer.

    `window` is the number of most recent tokens attended (None: all). `chunked` marks Llama-4's local
    attention, where a token attends only to its own chunk of `window` tokens. With `latent` set,
    `head_dim` is nope_dim + rope_dim and `kv_heads` equals `q_heads`.
    """

    q_heads: int
    kv_heads: int
    head_dim: int
    v_head_dim: int
    window: int | None = None
    chunked: bool = False
    rope: bool = True
    qkv_bias: bool = False
    out_bias: bool = False
    qk_norm_parameters: int = 0
    sinks: bool = False
    latent: Latent | None = None

    def parameters(self, hidden: int) -> int:
        """Weights of the projections, biases and query/key norms of one layer."""
        out = self.q_heads * self.v_head_dim * hidden + (hidden if self.out_bias else 0)
        extra = self.qk_norm_parameters + (self.q_heads if self.sinks else 0)
        if self.latent is not None:
            return self._latent_projections(hidden, self.latent) + out + extra
        width = self.q_heads * self.head_dim + self.kv_heads * (self.head_dim + self.v_head_dim)
        return hidden * width + (width if self.qkv_bias else 0) + out + extra

    def _latent_projections(self, hidden: int, latent: Latent) -> int:
        q_width = self.q_heads * self.head_dim
        q = hidden * q_width
        if latent.q_rank is not None:
            q = hidden * latent.q_rank + latent.q_rank + latent.q_rank * q_width
        down = hidden * (latent.kv_rank + latent.rope_dim) + latent.kv_rank
        up = latent.kv_rank * self.q_heads * (latent.nope_dim + self.v_head_dim)
        return q + down + up

    def kv_elements(self) -> int:
        """Numbers that one token leaves in the KV cache of one layer."""
        if self.latent is not None:
            return self.latent.kv_rank + self.latent.rope_dim
        return self.kv_heads * (self.head_dim + self.v_head_dim)


@dataclass(frozen=True, slots=True)
class FeedForward:
    """A dense feed-forward part; `gated` has three matrices (SwiGLU and kin), otherwise two."""

    intermediate: int
    gated: bool = True
    bias: bool = False

    def parameters(self, hidden: int) -> int:
        matrices = 3 if self.gated else 2
        biases = (matrices - 1) * self.intermediate + hidden if self.bias else 0
        return matrices * hidden * self.intermediate + biases


@dataclass(frozen=True, slots=True)
class Experts:
    """A mixture of `experts` feed-forward parts of which each token visits `top_k`, plus shared ones.

    `shared` is the feed-forward part that every token visits (None: none); `shared_gate` adds the
    sigmoid gate of Qwen2-MoE on it.
    """

    experts: int
    top_k: int
    expert: FeedForward
    shared: FeedForward | None = None
    shared_gate: bool = False
    router_bias: bool = False

    def parameters(self, hidden: int) -> int:
        router = hidden * self.experts + (self.experts if self.router_bias else 0)
        shared = 0 if self.shared is None else self.shared.parameters(hidden)
        gate = hidden if self.shared_gate else 0
        return router + self.experts * self.expert.parameters(hidden) + shared + gate

    def active_parameters(self, hidden: int) -> int:
        """Weights that one token multiplies with."""
        idle = (self.experts - self.top_k) * self.expert.parameters(hidden)
        return self.parameters(hidden) - idle


@dataclass(frozen=True, slots=True)
class Layer:
    """One decoder layer. `norms` counts the hidden-size norms; `norm_bias` doubles their weights (LayerNorm)."""

    attention: Attention
    ffn: FeedForward | Experts
    norms: int = 2
    norm_bias: bool = False
    parallel_ffn: bool = False

    def parameters(self, hidden: int) -> int:
        norm = self.norms * hidden * (2 if self.norm_bias else 1)
        return self.attention.parameters(hidden) + self.ffn.parameters(hidden) + norm

    def active_parameters(self, hidden: int) -> int:
        """As `parameters`, but counting only the experts that one token visits."""
        ffn = self.ffn
        idle = ffn.parameters(hidden) - ffn.active_parameters(hidden) if isinstance(ffn, Experts) else 0
        return self.parameters(hidden) - idle


@dataclass(frozen=True, slots=True)
class Transformer:
    """A decoder-only language model: embedding, layers in order, final norm, output head.

    `extra_parameters` counts what the rest does not (embedding norms, projections of OPT-350m, head bias).
    `dtype` is the format that the checkpoint is published in.
    """

    name: str
    architecture: str
    hidden: int
    vocab: int
    layers: tuple[Layer, ...]
    max_tokens: int
    tied_embedding: bool = False
    learned_positions: int = 0
    final_norm: bool = True
    final_norm_bias: bool = False
    extra_parameters: int = 0
    dtype: str = "bf16"
    source: str = ""
    published_parameters: float | None = field(default=None, compare=False)

    def embedding_parameters(self) -> int:
        return (self.vocab + self.learned_positions) * self.hidden

    def head_parameters(self) -> int:
        return 0 if self.tied_embedding else self.vocab * self.hidden

    def parameters(self) -> int:
        """All weights of the checkpoint."""
        norm = self.hidden * (2 if self.final_norm_bias else 1) if self.final_norm else 0
        body = sum(layer.parameters(self.hidden) for layer in self.layers)
        return self.embedding_parameters() + body + norm + self.head_parameters() + self.extra_parameters

    def active_parameters(self) -> int:
        """Weights that one token meets (of the experts, the visited ones)."""
        idle = sum(layer.parameters(self.hidden) - layer.active_parameters(self.hidden) for layer in self.layers)
        return self.parameters() - idle
