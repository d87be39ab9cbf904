"""How long fine-tuning work takes on a replica's devices, beside the requests of an iteration or alone.

A forward window shares the base model's products with the requests: one product over all tokens. Its adapters and the
backward pass have kernels of their own, which run after those of the requests.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from simulator.engine.chunks import Chunks
from simulator.engine.finetuning_progress import Portion
from simulator.engine.step_timer import Floats, StepTimer
from simulator.engine.table import Table
from simulator.hardware.attention_kernel import AttentionKernel
from simulator.hardware.law import TimingLaw
from simulator.workloads.backward import ATTENTION_BACKWARD, backward_calls, loss_gradient_calls, recomputed_calls
from simulator.workloads.graph import attention_shapes, spans
from simulator.workloads.operators import Call, Collective
from simulator.workloads.parallelism import Parallelism, Precision
from simulator.workloads.span import Span
from simulator.workloads.transformer import Layer, Transformer
from simulator.workloads.tuned_adapter import TunedAdapter


@dataclass(frozen=True, slots=True)
class Costs:
    """Seconds, FLOPs and bytes of some calls by their number of tokens, and how many kernels they are."""

    seconds: Table
    flops: Table
    bytes: Table
    kernels: int


@dataclass(frozen=True, slots=True)
class BackwardLayer:
    """One layer's backward pass: what its number of tokens says, and its attention."""

    costs: Costs
    span: Span
    kernel: AttentionKernel
    flops_per_pair: float
    bytes_per_token: float


class FinetuningTimer:
    """Times portions of fine-tuning on one replica. With `pruned` activations some are computed again.

    Seconds are those of a replica; FLOPs and bytes of one device.
    """

    def __init__(
        self,
        timer: StepTimer,
        law: TimingLaw,
        model: Transformer,
        parallel: Parallelism,
        precision: Precision,
        adapter: TunedAdapter,
        *,
        pruned: bool,
    ) -> None:
        self.timer, self.layers = timer, len(model.layers)
        self._law = law
        self._eager = timer.overheads.eager
        known: dict[Layer, BackwardLayer] = {}
        for layer in model.layers:
            if layer not in known:
                known[layer] = self._backward_layer(model, parallel, precision, adapter, layer, pruned)
        self._backward = [known[layer] for layer in model.layers]
        counts = {layer: model.layers.count(layer) for layer in known}

        def beside(tokens: Floats) -> list[Call]:
            found = loss_gradient_calls(model, parallel, precision, tokens)
            for layer, count in counts.items():
                matrices = adapter.matrices(layer, model.hidden, parallel)
                found += [replace(c, count=c.count * count) for c in adapter.forward_calls(matrices, tokens, precision)]
            return found

        self._beside = self._costs(beside)
        self._optimiser = self._costs(lambda _: adapter.optimiser_calls(model, parallel))

    def _backward_layer(
        self,
        model: Transformer,
        parallel: Parallelism,
        precision: Precision,
        adapter: TunedAdapter,
        layer: Layer,
        pruned: bool,
    ) -> BackwardLayer:
        matrices = adapter.matrices(layer, model.hidden, parallel)

        def calls(tokens: Floats) -> list[Call]:
            found = backward_calls(model, parallel, precision, layer, tokens)
            found += adapter.backward_calls(matrices, tokens, precision)
            if pruned:
                found += recomputed_calls(model, parallel, precision, layer, tokens, adapter.targets)
            return found

        alone = replace(model, layers=(layer,))
        _, shape, _, _ = attention_shapes(alone, parallel, precision)[0]
        span = spans(alone)[0]
        return BackwardLayer(
            self._costs(calls),
            span,
            self._law.attention(shape, shape, span.window),
            ATTENTION_BACKWARD * 2.0 * float(shape.q_heads * (shape.qk_dim + shape.v_dim)),
            ATTENTION_BACKWARD * float(shape.kv_elements) * shape.kv_bytes,
        )

    def _costs(self, calls: Callable[[Floats], list[Call]]) -> Costs:
        def table(of: Callable[[Call], object]) -> Table:
            def total(tokens: Floats) -> Floats:
                some = np.maximum(tokens, 1.0)
                each = (np.broadcast_to(np.asarray(of(c)) * c.count, some.shape) for c in calls(some))
                return sum(each, 0.0 * some) * (tokens > 0)

            return Table(total)

        return Costs(
            table(lambda c: self._law.seconds(c.op)),
            table(lambda c: c.op.flops()),
            table(lambda c: 0.0 if isinstance(c.op, Collective) else c.op.bytes()),
            sum(c.count for c in calls(np.ones(1))),
        )

    def seconds(
        self,
        portion: Portion,
        decoding: int = 0,
        contexts: Sequence[tuple[int, int]] = (),
        prompts: Sequence[tuple[int, int]] = (),
    ) -> float:
        """One iteration of `decoding` sequences, of `prompts` as (cached, new) tokens, and of a portion beside them.

        The first forward window shares the requests' products; windows after it, the backward pass and the optimiser
        follow one after the other.
        """
        total = self.timer.host_seconds(decoding + len(prompts))
        first, *rest = portion.forward or ((0, 0),)
        if decoding or prompts or first[1]:
            total += self._pass_seconds(decoding, contexts, prompts, first)
        for window in rest:
            total += self._pass_seconds(0, (), (), window)
        if portion.backward:
            total += self._backward_seconds(portion)
        if portion.optimiser:
            total += self._optimiser.seconds[1]
        return total

    def _pass_seconds(
        self,
        decoding: int,
        contexts: Sequence[tuple[int, int]],
        prompts: Sequence[tuple[int, int]],
        window: tuple[int, int],
    ) -> float:
        tokens = window[1]
        if not tokens:
            return self.timer.device_seconds(decoding, contexts, self.timer.chunks(prompts))
        chunks = self._with_every_row(self.timer.chunks([*prompts, window]), tokens)
        return self.timer.device_seconds(decoding, contexts, chunks) + self._beside.seconds[tokens]

    def _with_every_row(self, chunks: Chunks, tokens: int) -> Chunks:
        """Every token of a window in training has a row in the output head, not just the last."""
        return replace(chunks, sequences=chunks.sequences - 1 + tokens)

    def _backward_seconds(self, portion: Portion) -> float:
        total, kernels = 0.0, 0
        for number, before, tokens in portion.backward:
            layer = self._backward[number]
            work = layer.kernel.work(((before, tokens),)).times(ATTENTION_BACKWARD)
            total += layer.costs.seconds[tokens] + layer.kernel.seconds(work)
            kernels += layer.costs.kernels + 1
        return max(total, kernels * self._eager)

    def work(self, portion: Portion, tokens: int, rows: int) -> tuple[float, float]:
        """FLOPs and bytes that a portion adds to an iteration with `tokens` tokens and `rows` sampled rows."""
        flops = moved = 0.0
        for before, new in portion.forward:
            one = self._window_work((before, new), tokens, rows)
            flops, moved, tokens, rows = flops + one[0], moved + one[1], 0, 0
        if not portion.forward and not tokens:
            # An iteration without tokens in the shared products does not read the weights that its row stands for.
            moved -= sum(s.token_bytes[0] + s.head_bytes[0] for s in self.timer.stages)
        for number, before, new in portion.backward:
            layer = self._backward[number]
            flops += layer.costs.flops[new] + layer.flops_per_pair * layer.span.pairs(before, new)
            moved += layer.costs.bytes[new] + layer.bytes_per_token * layer.span.context(before, new)
        if portion.optimiser:
            flops += self._optimiser.flops[1]
            moved += self._optimiser.bytes[1]
        return flops, moved

    def _window_work(self, window: tuple[int, int], tokens: int, rows: int) -> tuple[float, float]:
        new = window[1]
        flops, moved = self.timer.attention_work((), 1, self.timer.chunks([window]))
        for stage in self.timer.stages:
            flops += stage.token_flops[tokens + new] - stage.token_flops[tokens]
            flops += stage.head_flops[rows + new] - stage.head_flops[rows]
            moved += stage.token_bytes[tokens + new] - stage.token_bytes[tokens]
            moved += stage.head_bytes[rows + new] - stage.head_bytes[rows]
        return flops + self._beside.flops[new], moved + self._beside.bytes[new]
