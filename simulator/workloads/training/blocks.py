"""The forward pass of a training step as blocks: an operator, what its backward pass does, and what is kept for it.

One list answers three questions: what takes time, what takes memory between the passes, and what recomputation
changes. Activations kept are those of Korthikanti et al. (arXiv:2205.05198, section 4.1), whose sums the blocks of
a GPT layer give: sbh (34 + 5 a s / h) bytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from simulator.workloads.dtypes import DTYPES
from simulator.workloads.operators import Attention as AttentionOp
from simulator.workloads.operators import Collective, Elementwise, Gather, Gemm, HeadShape
from simulator.workloads.span import Span
from simulator.workloads.training.block import MASK, Block
from simulator.workloads.training.expert_blocks import ExpertBlocks
from simulator.workloads.training.job import Job
from simulator.workloads.training.rank_attention import RankAttention
from simulator.workloads.training.shared_attention import shared_attention
from simulator.workloads.transformer import Attention, Experts, FeedForward, Latent, Layer

FP32 = DTYPES["fp32"].bytes


@dataclass(frozen=True, slots=True)
class Blocks:
    """Builds the blocks of one micro-batch on one device; its sequences are of `lengths` tokens, or all alike."""

    job: Job
    lengths: tuple[int, ...] = ()

    @property
    def sequences(self) -> tuple[int, ...]:
        return self.lengths or (self.job.sequence,) * self.job.micro_batch

    @property
    def tokens(self) -> float:
        return sum(self.sequences) / self.job.layout.context

    @property
    def between(self) -> float:
        """Tokens that one device handles between the products: its share with sequence parallelism."""
        layout = self.job.layout
        return self.tokens / (layout.tensor if layout.sequence_parallel else 1)

    @property
    def act(self) -> float:
        return self.job.formats.activations.bytes

    def product(self, name: str, n: float, k: float, *, saved: float) -> Block:
        """y[tokens, n] = x[tokens, k] w[k, n]; both gradients are products of the same size."""
        compute, act, m = self.job.formats.compute, self.job.formats.activations, self.tokens
        return Block(
            name,
            (Gemm(m, n, k, compute, act),),
            (Gemm(m, k, n, compute, act),),
            (Gemm(k, n, m, compute, act),),
            saved,
        )

    def streaming(
        self, name: str, elements: float, reads: float, writes: float, *, saved: float, kernel: str = "elementwise"
    ) -> Block:
        """An elementwise operator; its gradient reads what it kept besides the gradient that comes in."""
        act = self.job.formats.activations
        forward = Elementwise(elements, reads, writes, 4.0, act, kernel)
        backward = Elementwise(elements, reads + 1.0, writes, 8.0, act, kernel)
        return Block(name, (forward,), (backward,), (), saved)

    def layer(self, layer: Layer) -> Iterator[Block]:
        """One layer: attention and feed-forward part, each behind a norm and before a residual sum."""
        yield self.norm("attention norm")
        yield from self.gather_sequence("attention")
        yield from self.attention(layer.attention)
        yield from self.reduce("attention")
        yield self.residual("attention residual")
        yield self.norm("ffn norm")
        if isinstance(layer.ffn, Experts):
            yield from self.experts(layer.ffn)
        else:
            yield from self.dense(layer.ffn)
        yield self.residual("ffn residual")

    def dense(self, ffn: FeedForward) -> Iterator[Block]:
        """A feed-forward part that all tokens go through."""
        yield from self.gather_sequence("ffn")
        yield from self.feed_forward(ffn)
        yield from self.reduce("ffn")

    def experts(self, ffn: Experts) -> Iterator[Block]:
        """Routed experts, and the shared ones beside them."""
        parallel = self.job.layout.sequence_parallel
        if not parallel:
            yield from self.gather_sequence("ffn")
        yield from ExpertBlocks(self.job, ffn, self.between).blocks()
        if not parallel:
            yield from self.reduce("ffn")
        if ffn.shared is not None:
            yield from self.dense(ffn.shared)

    def norm(self, name: str) -> Block:
        elements = self.between * self.job.model.hidden
        return self.streaming(name, elements, 1, 1, saved=elements * self.act, kernel="norm")

    def residual(self, name: str) -> Block:
        """Bias, dropout and residual sum in one kernel; of dropout the mask is kept."""
        elements = self.between * self.job.model.hidden
        mask = MASK if self.job.dropout else 0.0
        return self.streaming(name, elements, 2, 1 + mask / self.act, saved=elements * mask)

    def attention(self, a: Attention) -> Iterator[Block]:
        tensor, hidden = self.job.layout.tensor, self.job.model.hidden
        q_heads, kv_heads = a.q_heads / tensor, max(1.0, a.kv_heads / tensor)
        q, kv = q_heads * a.head_dim, kv_heads * (a.head_dim + a.v_head_dim)
        kept = self.between * hidden * self.act
        if a.latent is None:
            yield self.product("qkv projection", q + kv, hidden, saved=kept)
        else:
            yield from self.latent_projections(a, a.latent, kept)
        if a.rope:
            yield self.streaming("rotary embedding", self.tokens * (q + kv / 2), 1, 1, saved=0.0, kernel="rotary")
        qkv = self.tokens * (q + kv) * self.act
        if self.job.context is not None:
            yield from shared_attention(
                RankAttention(
                    self.job.context, a, q_heads, a.kv_heads / tensor, self.sequences, self.job.formats.activations,
                    tensor,
                ),
                fused=self.job.fused_attention,
                dropout=self.job.dropout,
            )  # fmt: skip
        elif self.job.fused_attention:
            yield self.fused_attention(a, q_heads, kv_heads, qkv)
        else:
            yield from self.plain_attention(a, q_heads, qkv)
        out = q_heads * a.v_head_dim
        yield self.product("output projection", hidden, out, saved=self.tokens * out * self.act)

    def latent_projections(self, a: Attention, latent: Latent, kept: float) -> Iterator[Block]:
        """Queries, keys and values by way of small vectors, which every tensor-parallel device forms whole."""
        hidden, heads, act = self.job.model.hidden, a.q_heads / self.job.layout.tensor, self.act
        down, inner = latent.kv_rank + latent.rope_dim, latent.q_rank
        yield self.product("latent down projection", down + (inner or 0), hidden, saved=kept)
        elements = self.tokens * (latent.kv_rank + (inner or 0))
        yield self.streaming("latent norm", elements, 1, 1, saved=elements * act, kernel="norm")
        query_input = self.tokens * inner * act if inner else 0.0
        yield self.product("query projection", heads * a.head_dim, inner or hidden, saved=query_input)
        width = heads * (latent.nope_dim + a.v_head_dim)
        yield self.product("key and value projection", width, latent.kv_rank, saved=self.tokens * latent.kv_rank * act)

    def attention_output(self, a: Attention) -> float:
        """Bytes of attention's output and of its softmax's statistics."""
        q_heads = a.q_heads / self.job.layout.tensor
        return self.tokens * q_heads * (a.v_head_dim * self.act + FP32)

    def fused_attention(self, a: Attention, q_heads: float, kv_heads: float, qkv: float) -> Block:
        """FlashAttention: queries, keys and values are kept, scores are formed again in the backward pass.

        Five products of the forward pass's two sizes (arXiv:2307.08691, section 3.1.2), causal blocks only.
        """
        act = self.job.formats.activations
        shape = HeadShape(
            q_heads, kv_heads, a.head_dim, a.v_head_dim, kv_heads * (a.head_dim + a.v_head_dim), act, act
        )  # fmt: skip
        chunks = tuple((0, length) for length in self.sequences)
        forward = AttentionOp(Span(a.window), shape, shape, chunks)
        backward = AttentionOp(Span(a.window), shape, shape, chunks, share=2.5)
        return Block("attention", (forward,), (backward,), (), qkv, core=True, entering=qkv)

    def plain_attention(self, a: Attention, q_heads: float, qkv: float) -> Iterator[Block]:
        """Attention kernel by kernel with all scores in memory, as Megatron-LM trained up to 2022."""
        act, s = self.job.formats.activations, float(self.job.sequence)
        heads = self.job.micro_batch * q_heads
        scores = heads * s * s

        def batched(name: str, inner: float, outer: float, *, saved: float) -> Block:
            forward = Gemm(s, outer, inner, act, act, heads)
            back = (Gemm(s, inner, outer, act, act, heads), Gemm(inner, outer, s, act, act, heads))
            return Block(name, (forward,), back, (), saved, core=True, entering=saved)

        values = a.v_head_dim / (2 * a.head_dim + a.v_head_dim)
        yield self.streaming("query, key and value transposes", qkv / self.act, 1, 1, saved=0.0)
        yield batched("attention scores", a.head_dim, s, saved=qkv * (1.0 - values))
        if self.job.eager is not None:
            for _ in range(self.job.eager.scores):
                mask = self.streaming("score scaling and mask", scores, 1, 1, saved=0.0)
                yield Block(mask.name, mask.forward, mask.inputs, (), mask.saved, core=True)
        soft = self.streaming("softmax", scores, 1, 1, saved=scores * self.act)
        yield Block(soft.name, soft.forward, soft.inputs, (), soft.saved, core=True)
        if self.job.dropout:
            drop = self.streaming("attention dropout", scores, 1, 1 + MASK / self.act, saved=scores * (MASK + self.act))
            yield Block(drop.name, drop.forward, drop.inputs, (), drop.saved, core=True)
        yield batched("attention over values", s, a.v_head_dim, saved=qkv * values)
        yield self.streaming("context transpose", self.tokens * q_heads * a.v_head_dim, 1, 1, saved=0.0)

    def feed_forward(self, ffn: FeedForward) -> Iterator[Block]:
        hidden, width = self.job.model.hidden, ffn.intermediate / self.job.layout.tensor
        gates = 2.0 if ffn.gated else 1.0
        wide = self.tokens * width
        yield self.product("ffn up projection", gates * width, hidden, saved=self.between * hidden * self.act)
        kernels = ((gates, 1.0),) if self.job.eager is None else self.job.eager.activation
        for reads, writes in kernels:
            yield self.streaming(
                "ffn activation", wide, reads, writes, saved=reads * wide * self.act, kernel="activation"
            )
        yield self.product("ffn down projection", hidden, width, saved=wide * self.act)

    def gather_sequence(self, name: str) -> Iterator[Block]:
        """Before the products: with sequence parallelism the tokens are gathered, else only gradients are summed."""
        layout = self.job.layout
        if layout.tensor == 1:
            return
        if layout.sequence_parallel:
            yield Block(f"{name} all-gather", (self.collective("all_gather"),), (self.collective("reduce_scatter"),))
        else:
            yield Block(f"{name} gradient all-reduce", (), (self.collective("all_reduce"),))

    def reduce(self, name: str) -> Iterator[Block]:
        """After the products: their sums, scattered over tokens with sequence parallelism."""
        layout = self.job.layout
        if layout.tensor == 1:
            return
        if layout.sequence_parallel:
            yield Block(
                f"{name} reduce-scatter", (self.collective("reduce_scatter"),), (self.collective("all_gather"),)
            )
        else:
            yield Block(f"{name} all-reduce", (self.collective("all_reduce"),))

    def collective(self, pattern: str) -> Collective:
        return Collective(pattern, self.tokens * self.job.model.hidden * self.act, self.job.layout.tensor)

    def embedding(self) -> Iterator[Block]:
        """Token and position embedding, summed over the devices that split the vocabulary."""
        model, act = self.job.model, self.job.formats.activations
        rows = Gather(self.tokens, model.hidden, act, "embedding")
        yield Block("embedding", (rows,), (), (rows,))
        yield from self.reduce("embedding")
        if self.job.dropout:
            elements = self.between * model.hidden
            yield self.streaming("embedding dropout", elements, 1, 1 + MASK / self.act, saved=elements * MASK)

    def head(self) -> Iterator[Block]:
        """Final norm, output head and loss; logits are kept in fp32 (arXiv:2205.05198, section 4.3)."""
        model, tensor = self.job.model, self.job.layout.tensor
        vocab = model.vocab / tensor
        yield self.norm("final norm")
        yield from self.gather_sequence("head")
        yield self.product("output head", vocab, model.hidden, saved=self.between * model.hidden * self.act)
        logits = self.tokens * vocab
        loss = self.streaming("loss", logits, 3, 2, saved=logits * FP32)
        sums = (Collective("all_reduce", self.tokens * FP32, tensor),) * 3 if tensor > 1 else ()
        yield Block(loss.name, (*loss.forward, *sums), loss.inputs, (), loss.saved)
