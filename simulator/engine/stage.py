"""What the token count alone says of one pipeline stage, tabulated once, and its pieces of attention."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from simulator.engine.attention_offload import AttentionOffload
from simulator.engine.attention_timer import AttentionPiece, DecodeLayer
from simulator.engine.feed_forward import FeedForwardPool
from simulator.engine.shared_prefix import SharedPrefixLayer
from simulator.engine.table import Table
from simulator.engine.token_budget import ScoredLayer
from simulator.hardware.attention_kernel import AttentionKernel
from simulator.hardware.law import TimingLaw
from simulator.workloads.graph import attention_shapes, head_calls, prefetch_calls, spans, token_calls
from simulator.workloads.operators import Call, Collective
from simulator.workloads.parallelism import Parallelism, Precision, stage_layers
from simulator.workloads.sides import attention_side_calls
from simulator.workloads.transformer import Transformer

Floats = NDArray[np.float64]


class Stage:
    """Tables of one pipeline stage. With `cut` nano-batches, dense operators and collectives are also kept apart."""

    def __init__(
        self,
        model: Transformer,
        parallel: Parallelism,
        precision: Precision,
        law: TimingLaw,
        stage: int,
        kernels: list[tuple[int, AttentionKernel]],
        cut: int = 1,
        offload: AttentionOffload | None = None,
        shared_prefix: int = 0,
        scored: bool = False,
        pool: FeedForwardPool | None = None,
    ) -> None:
        def total(calls: list[Call], like: Floats, of: Callable[[Call], object]) -> Floats:
            return sum((np.broadcast_to(np.asarray(of(c)) * c.count, like.shape) for c in calls), 0.0 * like)

        def seconds(call: Call) -> object:
            return law.seconds(call.op)

        def flops(call: Call) -> object:
            return call.op.flops()

        def moved(call: Call) -> object:
            return 0.0 if isinstance(call.op, Collective) else call.op.bytes()

        def graph(t: Floats) -> list[Call]:
            if pool is not None:
                return attention_side_calls(model, parallel, precision, t)
            return token_calls(model, parallel, precision, t, stage)

        def tokens(of: Callable[[Call], object]) -> Table:
            if pool is None:
                return Table(lambda t: total(graph(t), t, of))
            cut = pool.cut
            return Table(lambda t: cut(t, parallel.data) * total(graph(t / cut(t, parallel.data)), t, of))

        def head(of: Callable[[Call], object]) -> Table:
            return Table(lambda s: total(head_calls(model, parallel, precision, s, stage), s, of), first=256)

        self.token_seconds, self.token_flops, self.token_bytes = tokens(seconds), tokens(flops), tokens(moved)
        self.head_seconds, self.head_flops, self.head_bytes = head(seconds), head(flops), head(moved)

        def ahead(t: Floats) -> list[Call]:
            return prefetch_calls(model, parallel, precision, t, stage)

        self.prefetches = bool(ahead(np.ones(1)))
        self.prefetch_seconds = Table(lambda t: total(ahead(t), t, seconds))

        def cut_tokens(network: bool) -> Table:
            def calls(t: Floats) -> list[Call]:
                every = token_calls(model, parallel, precision, t / cut, stage)
                return [c for c in every if isinstance(c.op, Collective) == network]

            return Table(lambda t: cut * total(calls(t), t, seconds))

        self.dense_seconds, self.network_seconds = cut_tokens(False), cut_tokens(True)
        one = np.ones(1)
        calls = [*graph(one), *head_calls(model, parallel, precision, one, stage)]
        self.kernels = sum(c.count for c in calls) + len(stage_layers(model, parallel, stage))
        self.pieces: list[tuple[int, AttentionPiece]] = []
        count = len(spans(model))
        self.prompt_flops, self.prompt_bytes = [0.0] * count, [0.0] * count
        self.decode_flops, self.decode_bytes = [0.0] * count, [0.0] * count
        for i, (span, prompt, decode, layers) in enumerate(attention_shapes(model, parallel, precision, stage)):
            kernel = law.attention(prompt, decode, spans(model)[span].window)
            if (span, kernel) not in kernels:
                kernels.append((span, kernel))
            layer: DecodeLayer | None = None if offload is None else offload.layers[i]
            if shared_prefix and spans(model)[span].tokens is None:
                layer = SharedPrefixLayer(kernel, law, shared_prefix)
            if scored:
                layer = scores = ScoredLayer(kernel, law)
                self.decode_bytes[span] += layers / parallel.data * scores.score_bytes
            piece = AttentionPiece(span, kernel, layers, 1.0 / parallel.data, layer)
            self.pieces.append((kernels.index((span, kernel)), piece))
            scale = layers / parallel.data
            self.prompt_flops[span] += scale * 2.0 * float(prompt.q_heads * (prompt.qk_dim + prompt.v_dim))
            self.prompt_bytes[span] += scale * float(prompt.kv_elements) * prompt.kv_bytes
            if offload is None or offload.pool.streamed:
                self.decode_flops[span] += scale * 2.0 * float(decode.q_heads * (decode.qk_dim + decode.v_dim))
                self.decode_bytes[span] += scale * float(decode.kv_elements) * decode.kv_bytes
