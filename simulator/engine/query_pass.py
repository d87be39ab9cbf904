"""A forward pass in which decoding sequences bring several query tokens each: verification, trees, catching up."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from simulator.engine.attention_timer import AttentionPiece
from simulator.engine.chunks import NO_CHUNKS, Chunks
from simulator.engine.step_timer import StepTimer
from simulator.hardware.attention_kernel import AttentionKernel
from simulator.workloads.span import Span

Ints = NDArray[np.int64]
# Beyond so many query tokens a sequence the kernel for prompts serves them: its smallest tile is as many rows.
MOST_SPLIT_QUERIES = 16


@dataclass(frozen=True)
class Queries:
    """`new` query tokens of each sequence after its `cached` ones (both shape (sequences,))."""

    cached: Ints
    new: Ints

    @property
    def sequences(self) -> int:
        return len(self.new)

    @cached_property
    def tokens(self) -> int:
        """Query tokens in all."""
        return int(self.new.sum())

    @cached_property
    def chunks(self) -> tuple[tuple[int, int], ...]:
        """The same as prompt chunks: (cached, new) of each sequence."""
        return tuple(zip(self.cached.tolist(), self.new.tolist(), strict=True))

    def context(self, span: Span) -> Ints:
        """Tokens that each sequence's queries read, as `Span.context`."""
        read: Ints = self.cached + self.new
        if span.tokens is not None:
            before = self.cached % span.tokens if span.chunked else span.tokens - 1
            read = np.minimum(read, self.new + before)
        return read

    def within(self, tokens: int | None) -> Queries:
        """The same over caches of at most `tokens` tokens."""
        return self if tokens is None else Queries(np.minimum(self.cached, tokens), self.new)


NO_QUERIES = Queries(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64))


@dataclass(frozen=True, slots=True)
class Pass:
    """One forward pass of one model: `queries` and prompt `chunks` go in, `rows` rows through the output head."""

    timer: StepTimer
    queries: Queries
    rows: int
    chunks: Chunks = NO_CHUNKS

    @property
    def tokens(self) -> int:
        return self.queries.tokens + self.chunks.tokens

    def stage_seconds(self) -> list[float]:
        """Seconds of each pipeline stage, without the engine's own time."""
        return [self._stage(number) for number in range(len(self.timer.stages))]

    def seconds(self) -> float:
        """Seconds of all stages one after the other, without the engine's own time."""
        return sum(self.stage_seconds())

    def work(self) -> tuple[float, float]:
        """FLOPs and bytes of one device of each stage, added over the stages."""
        flops, moved = self.attention_work()
        for stage in self.timer.stages:
            flops += stage.token_flops[self.tokens] + (stage.head_flops[self.rows] if self.rows else 0.0)
            moved += stage.token_bytes[self.tokens] + (stage.head_bytes[self.rows] if self.rows else 0.0)
        return flops, moved

    def attention_work(self) -> tuple[float, float]:
        """FLOPs and cache bytes of attention alone: every query meets its causal keys, a cache is read once."""
        queries = self.queries
        flops, moved = self.timer.attention_work([], 1, self.chunks)
        for i, span in enumerate(self.timer.spans):
            context = queries.context(span)
            pairs = int((queries.new * context - queries.new * (queries.new - 1) // 2).sum())
            for stage in self.timer.stages:
                flops += stage.decode_flops[i] * pairs
                moved += stage.decode_bytes[i] * int(context.sum())
        return flops, moved

    def _stage(self, number: int) -> float:
        stage = self.timer.stages[number]
        total = stage.token_seconds[self.tokens] + (stage.head_seconds[self.rows] if self.rows else 0.0)
        for kernel, piece in stage.pieces:
            total += self._attention(kernel, piece)
        return max(total, self.timer.floor(number, self.tokens))

    def _attention(self, kernel: int, piece: AttentionPiece) -> float:
        queries, chunks = self.queries, self.chunks
        if not queries.sequences:
            return piece.prompts(chunks.works[kernel]) if chunks.tokens else 0.0
        single = queries.tokens == queries.sequences
        if chunks.tokens and (piece.kernel.fused or not single):
            if single:
                attended = int(queries.context(self.timer.spans[piece.span]).sum())
                return piece.mixed(chunks.works[kernel], queries.sequences, attended)
            if piece.kernel.fused:
                return piece.prompts(chunks.works[kernel].plus(piece.kernel.work(queries.chunks)))
        prompts = piece.prompts(chunks.works[kernel]) if chunks.tokens else 0.0
        return prompts + self._decoding(piece)

    def _decoding(self, piece: AttentionPiece) -> float:
        """Attention of the queries alone: rows of one sequence share its keys, as query heads of a group do."""
        queries = self.queries
        attended = int(queries.context(self.timer.spans[piece.span]).sum())
        rows = queries.tokens / queries.sequences
        if rows == 1.0:
            return piece.decoding(queries.sequences, attended)
        if rows > MOST_SPLIT_QUERIES:
            return piece.prompts(piece.kernel.work(queries.chunks))
        packed, share = _packed(piece.kernel, rows), piece.share
        return piece.count * float(packed.decoding(queries.sequences * share, attended * share).seconds())


def _packed(kernel: AttentionKernel, rows: float) -> AttentionKernel:
    """The split-key kernel with `rows` query tokens a sequence packed beside the heads of each group.

    FlashAttention packs so (arXiv:2407.08608, and `pack_gqa` of its code). Kernels without that path for wide
    groups are what `fallback` measures, and do not serve several query tokens.
    """
    shape = replace(kernel.decode_shape, q_heads=kernel.decode_shape.q_heads * rows)
    return replace(kernel, decode_shape=shape, decode_curve=replace(kernel.decode_curve, fallback=1.0))
