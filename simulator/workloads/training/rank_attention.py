"""Attention of a sequence split over ranks, as operators of one of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from simulator.workloads.dtypes import DTYPES, DType
from simulator.workloads.operators import AnyOperator, Collective, Elementwise, Gemm, HeadShape, Round, Rounds, Send
from simulator.workloads.operators import Attention as AttentionOp
from simulator.workloads.span import Span
from simulator.workloads.training.context import ContextPlan, RingSend, RingStep, Scores, Tensor
from simulator.workloads.training.exchange import all_to_all
from simulator.workloads.transformer import Attention

FP32 = DTYPES["fp32"].bytes
BACKWARD = 2.5  # five products against the forward pass's two (arXiv:2307.08691, section 3.1.2)


@dataclass(frozen=True, slots=True)
class RankAttention:
    """Attention of sequences of `lengths` tokens on one rank of a plan, with `q_heads` and `kv_heads` of a device.

    `spread` devices lie between consecutive ranks (the tensor-parallel ones of a rank).
    """

    plan: ContextPlan
    attention: Attention
    q_heads: float
    kv_heads: float
    lengths: tuple[int, ...]
    act: DType
    spread: int

    @property
    def tokens(self) -> float:
        """Tokens whose queries a rank has in the rings."""
        return sum(self.lengths) / self.plan.ring

    @property
    def own_q(self) -> float:
        return self.q_heads / self.plan.heads

    @property
    def own_kv(self) -> float:
        """Key heads of a rank; where there are fewer than ranks that share them out, each keeps a copy of one."""
        return max(1.0, self.kv_heads / self.plan.heads)

    @property
    def kept(self) -> float:
        """Bytes of queries, keys and values kept for the backward pass."""
        return sum(self.bytes_of(t) for t in ("query", "key", "value"))

    @property
    def in_flight(self) -> float:
        """Bytes of other ranks' keys and values, and of their gradients, on a rank."""
        return self.plan.kept * (self.bytes_of("key") + self.bytes_of("value"))

    def bytes_of(self, tensor: Tensor) -> float:
        """Bytes of a rank's share of a tensor in the rings."""
        a, kind = self.attention, tensor.removesuffix("_gradient")
        if kind == "statistics":
            return self.tokens * self.own_q * FP32
        widths = {
            "query": self.own_q * a.head_dim,
            "key": self.own_kv * a.head_dim,
            "value": self.own_kv * a.v_head_dim,
            "output": self.own_q * a.v_head_dim,
        }
        return self.tokens * widths[kind] * self.act.bytes

    def exchange_in(self) -> tuple[AnyOperator, ...]:
        """All-to-all from a share of the tokens to a share of the heads: queries, keys and values (Ulysses)."""
        return self._all_to_all(self.kept)

    def exchange_out(self) -> tuple[AnyOperator, ...]:
        """All-to-all of the output from a share of the heads back to a share of the tokens."""
        return self._all_to_all(self.bytes_of("output"))

    def _all_to_all(self, message: float) -> tuple[AnyOperator, ...]:
        plan = self.plan
        inside = max(1, plan.inside // plan.head_stride)
        return all_to_all(message, plan.heads, plan.head_stride * self.spread, inside)

    def forward(self) -> AnyOperator:
        """Fused attention with every block of keys."""
        if self.plan.ring == 1:
            return self.fused("own", 1.0)
        return self.rounds(self.plan.forward, self._merged)

    def backward(self) -> AnyOperator:
        if self.plan.ring == 1:
            return self.fused("own", BACKWARD)
        return self.rounds(self.plan.backward, lambda scores: (self.fused(scores, BACKWARD),))

    def rounds(self, steps: tuple[RingStep, ...], work: Callable[[Scores], tuple[AnyOperator, ...]]) -> Rounds:
        """The steps of a plan with the operators that each kind of block takes."""
        return Rounds(tuple(self._round(step, work) for step in steps))

    def _round(self, step: RingStep, work: Callable[[Scores], tuple[AnyOperator, ...]]) -> Round:
        inside: tuple[AnyOperator, ...] = ()
        if step.inner:
            inside = (self.rounds(step.inner, work),)
        elif step.scores != "none":
            inside = work(step.scores)
        return Round(inside, tuple(self._send(s) for s in step.sends), step.times)

    def _send(self, send: RingSend) -> Send:
        message = sum(self.bytes_of(t) for t in send.tensors)
        return Send(Collective("send_recv", message, send.world, send.stride * self.spread), send.lane)

    def _merged(self, scores: Scores) -> tuple[AnyOperator, ...]:
        """A block's attention, and its sum with the output so far where that is not the first (online softmax)."""
        block = self.fused(scores, 1.0)
        if scores == "own":
            return (block,)
        return block, Elementwise(self.bytes_of("output") / self.act.bytes, 2.0, 1.0, 4.0, self.act)

    def fused(self, scores: Scores, share: float) -> AttentionOp:
        a = self.attention
        kv = self.own_kv * (a.head_dim + a.v_head_dim)
        shape = HeadShape(self.own_q, self.own_kv, a.head_dim, a.v_head_dim, kv, self.act, self.act)
        chunks = tuple(chunk_of(scores, length / self.plan.ring) for length in self.lengths)
        return AttentionOp(Span(a.window), shape, shape, chunks, share=share)

    def products(self, inner: float, tensor: Tensor) -> tuple[Rounds, Rounds]:
        """Scores, or sums over values, block by block with all of a rank's scores in memory (RSA).

        Forward and backward products; `inner` is the size over which a block of scores is summed or spread.
        """
        s = self.tokens / len(self.lengths)
        heads = len(self.lengths) * self.own_q
        block = Gemm(s, s, inner, self.act, self.act, heads)
        steps = tuple(_only(step, tensor) for step in self.plan.forward)
        forward = self.rounds(steps, lambda _: (block,))
        backward = self.rounds(steps, lambda _: (block, block))
        return forward, backward

    def summed_gradient(self, tensor: Tensor) -> Collective:
        """Sum over the ring of the gradients of all tokens' keys or values."""
        whole = self.bytes_of(tensor) * self.plan.ring
        return Collective("all_reduce", whole, self.plan.ring, self.spread)


def chunk_of(scores: Scores, tokens: float) -> tuple[int, int]:
    """(Cached, new) tokens of a causal block with as many scores as these have: s(s + 1)/2, s^2/2 or s^2."""
    s = max(1, round(tokens))
    if scores == "half":
        half = max(1, s // 2)
        return s - (half + 1) // 2, half
    return (0, s) if scores == "own" else (s // 2, s)


def _only(step: RingStep, tensor: Tensor) -> RingStep:
    sends = tuple(RingSend((tensor,), s.world, s.stride, s.lane) for s in step.sends if tensor in s.tensors)
    return RingStep(step.scores, sends, step.times)
