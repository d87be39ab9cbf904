"""How long an iteration takes whose layers attend on one pool of devices and feed forward on another.

Micro-batches take turns: while one attends, another is fed forward and others are on the links between the pools
(ping-pong pipeline of MegaScale-Infer, arXiv:2504.02263, section 4.1). All attention groups of a replica step together,
as their tokens meet in every layer. Embedding and output head are of the whole batch, before and after.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from simulator.engine.attention_timer import AttentionPiece
from simulator.engine.feed_forward import FeedForwardPool
from simulator.engine.table import Table
from simulator.hardware.attention_kernel import AttentionKernel
from simulator.hardware.law import TimingLaw
from simulator.workloads.graph import attention_shapes, spans
from simulator.workloads.operators import Call, Collective
from simulator.workloads.parallelism import Parallelism, Precision
from simulator.workloads.sides import (
    attention_side,
    embedding_calls,
    feed_forward_side,
    feed_forward_side_calls,
    layer_kinds,
)
from simulator.workloads.transformer import Layer, Transformer

if TYPE_CHECKING:
    from simulator.engine.chunks import Chunks

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class LayerSeconds:
    """One micro-batch in one layer: attention, feed-forward, and one way between, on the links and beyond them.

    Seconds, each a number or an array of steps.
    """

    attention: Any
    feed_forward: Any
    transfer: Any
    latency: float

    @property
    def through(self) -> Any:
        """Seconds of a micro-batch alone, there and back."""
        return self.attention + self.feed_forward + 2.0 * (self.transfer + self.latency)

    @property
    def busiest(self) -> Any:
        """Seconds of the slowest of the two sides and the links, which follow each other at this distance."""
        return np.maximum(np.maximum(self.attention, self.feed_forward), self.transfer)


def pipeline_seconds(layers: Sequence[tuple[LayerSeconds, int]], last: LayerSeconds, micro_batches: int) -> Any:
    """Seconds of equal `micro_batches` through layers, given as (times, how many such layers) and the last one.

    Layers begin one after the other at the distance that the busiest resource or the round trip of a micro-batch
    needs, and the last micro-batch leaves the last layer behind the others. With equal layers this is what a greedy
    schedule of the four resources takes, and where transfers are hidden it is T_a + T_e + 2 T_c + T_f (m L - 1)
    (arXiv:2504.02263, eq. 5). Layers of several kinds are taken to follow each other as if each repeated.
    """
    total: Any = 0.0
    for layer, count in layers:
        total = total + np.maximum(micro_batches * layer.busiest, layer.through) * count
    hidden = np.maximum(micro_batches * last.busiest, last.through) - last.through
    return total + ((micro_batches - 1) * last.busiest - hidden)


@dataclass(frozen=True)
class _Kind:
    """Equal layers. `pieces` is attention by the number of micro-batches, less one; tables are by tokens of the batch.

    All seconds are of one micro-batch in one layer; `kernel` is the place of the attention kernel's prompt work.
    """

    count: int
    kernel: int
    pieces: tuple[AttentionPiece, ...]
    projections: Table
    feed_forward: Table
    transfer: Table


class PingPong:
    """The step timer's view of a feed-forward pool, for one model on one layout.

    `kernels` are the attention kernels that the step timer knows prompt work of. FLOPs, bytes and busy seconds are of
    one device of the pool in one iteration, by its tokens; `link_seconds` of a link, both ways.
    """

    def __init__(
        self,
        pool: FeedForwardPool,
        model: Transformer,
        parallel: Parallelism,
        precision: Precision,
        law: TimingLaw,
        kernels: Sequence[tuple[int, AttentionKernel]],
    ) -> None:
        pool.check(model, parallel)
        self.pool = pool
        self._groups = parallel.data
        here, there = (parallel, precision), (pool.layout(parallel.experts), pool.precision(precision))

        def cut(t: Floats) -> Floats:
            return pool.cut(t, parallel.data)

        def each(calls: Callable[[Floats], list[Call]], on: TimingLaw) -> Table:
            return Table(lambda t: _total(calls(t / cut(t)), t, lambda c: on.seconds(c.op)))

        def kind(layer: Layer, count: int) -> _Kind:
            found = attention_kernel(model, *here, law, layer)
            return _Kind(
                count,
                kernels.index(found),
                tuple(AttentionPiece(*found, 1, 1.0 / (parallel.data * k)) for k in range(1, pool.micro_batches + 1)),
                each(lambda t: attention_side(model, *here, t, layer), law),
                each(lambda t: feed_forward_side(model, *there, t, layer), pool.law),
                Table(lambda t: pool.transfer_seconds(model, *here, layer, t / cut(t))),
            )

        def fed(of: Callable[[Call], object]) -> Table:
            return Table(lambda t: cut(t) * _total(feed_forward_side_calls(model, *there, t / cut(t)), t, of))

        layers = layer_kinds(model)
        self._kinds = [kind(layer, count) for layer, count in layers]
        self._last = [layer for layer, _ in layers].index(model.layers[-1])
        self._embedding = Table(lambda t: _total(embedding_calls(model, *here, t), t, lambda c: law.seconds(c.op)))
        self.flops = fed(lambda c: c.op.flops())
        self.bytes = fed(lambda c: 0.0 if isinstance(c.op, Collective) else c.op.bytes())
        self.seconds = fed(lambda c: pool.law.seconds(c.op))
        self.link_seconds = Table(
            lambda t: 2.0 * cut(t) * sum(n * pool.transfer_seconds(model, *here, x, t / cut(t)) for x, n in layers)
        )

    def micro_batches(self, tokens: int) -> int:
        """As many as may be, each with a token for every attention group."""
        return min(max(tokens // self._groups, 1), self.pool.micro_batches)

    def step_seconds(self, decoding: int, contexts: Sequence[tuple[int, int]], chunks: Chunks) -> float:
        """One iteration to the end of the last layer, prompts and decoding sequences together."""
        tokens = decoding + chunks.tokens
        cut = self.micro_batches(tokens)

        def attention(kind: _Kind) -> float:
            piece = kind.pieces[cut - 1]
            if not chunks.tokens:
                return piece.decoding(decoding, contexts[piece.span][0])
            if not decoding:
                return piece.prompts(chunks.works[kind.kernel])
            return piece.mixed(chunks.works[kind.kernel], decoding, contexts[piece.span][0])

        return float(self._seconds(tokens, cut, attention))

    def decode_seconds(self, decoding: int, contexts: Sequence[tuple[int, int]], index: Floats) -> Floats:
        """Decode steps in a row to the end of the last layer; `index` counts them from 0 (shape (steps,))."""
        cut = self.micro_batches(decoding)

        def attention(kind: _Kind) -> Floats:
            piece = kind.pieces[cut - 1]
            start, growth = contexts[piece.span]
            return piece.decode_run(decoding, index * growth + start, start, start + growth * (len(index) - 1))

        return np.asarray(self._seconds(decoding, cut, attention))

    def _seconds(self, tokens: int, cut: int, attention: Callable[[_Kind], Any]) -> Any:
        latency = self.pool.link.latency
        times = [
            LayerSeconds(attention(k) + k.projections[tokens], k.feed_forward[tokens], k.transfer[tokens], latency)
            for k in self._kinds
        ]
        layers = [(found, kind.count) for found, kind in zip(times, self._kinds, strict=True)]
        return pipeline_seconds(layers, times[self._last], cut) + self._embedding[tokens]


def attention_kernel(
    model: Transformer, parallel: Parallelism, precision: Precision, law: TimingLaw, layer: Layer
) -> tuple[int, AttentionKernel]:
    """The attention kernel of a layer, with its place among the spans of the model."""
    known = spans(model)
    ((place, prompt, decode, _),) = attention_shapes(replace(model, layers=(layer,)), parallel, precision)
    own = spans(replace(model, layers=(layer,)))[place]
    return known.index(own), law.attention(prompt, decode, own.window)


def _total(calls: list[Call], like: Floats, of: Callable[[Call], object]) -> Floats:
    return sum((np.broadcast_to(np.asarray(of(c)) * c.count, like.shape) for c in calls), 0.0 * like)
