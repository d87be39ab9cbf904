"""Prompts computed by an auxiliary model whose KV cache is mapped to that of the model that decodes.

KV Prediction (Horton et al., arXiv:2410.08391): all of a prompt but its last token passes through the auxiliary
model, linear maps turn its cache into the model's, and the model takes the last token to give the first of the answer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from simulator.engine.chunks import Chunks, PromptPass
from simulator.engine.memory import DraftMemory
from simulator.engine.step_timer import Floats, StepTimer
from simulator.engine.table import Table
from simulator.hardware.law import TimingLaw
from simulator.hardware.overheads import StepOverheads
from simulator.workloads.kv_maps import KVMaps
from simulator.workloads.operators import Call, Collective
from simulator.workloads.parallelism import Parallelism, Precision, kv_bytes_per_token, weight_bytes


@dataclass(frozen=True, slots=True)
class PromptModel:
    """An auxiliary model and its maps; `precision` is that of its weights, of the maps and of its cache."""

    maps: KVMaps
    precision: Precision

    def memory(self, parallel: Parallelism) -> DraftMemory:
        """What it takes on each device: its weights, the maps, and its own cache for each token."""
        auxiliary = self.maps.auxiliary
        weights = weight_bytes(auxiliary, parallel, self.precision) + self.maps.weight_bytes(parallel, self.precision)
        return DraftMemory(weights, kv_bytes_per_token(auxiliary, parallel, self.precision))


def prompt_pass(model: PromptModel, parallel: Parallelism, law: TimingLaw, own: StepOverheads) -> PromptPass:
    """The pass timed on devices. Raises `InputError` if the auxiliary model cannot be laid out so."""
    parallel.check(model.maps.auxiliary)
    return MappedPass(
        StepTimer(model.maps.auxiliary, parallel, model.precision, law, own), model.maps, parallel, model.precision, law
    )


class MappedPass:
    """The auxiliary model's pass and the maps after it; its output head is not computed."""

    def __init__(
        self, timer: StepTimer, maps: KVMaps, parallel: Parallelism, precision: Precision, law: TimingLaw
    ) -> None:
        self._timer = timer

        def table(of: Callable[[Call], object]) -> Table:
            def total(tokens: Floats) -> Floats:
                calls = maps.calls(parallel, precision, tokens)
                return sum((np.asarray(of(c)) * c.count for c in calls), 0.0 * tokens)

            return Table(total)

        self._seconds = table(lambda c: law.seconds(c.op))
        self._flops = table(lambda c: c.op.flops())
        self._bytes = table(lambda c: 0.0 if isinstance(c.op, Collective) else c.op.bytes())
        overheads = timer.overheads
        launched = timer.stages[0].kernels + sum(c.count for c in maps.calls(parallel, precision, 1.0))
        self._launches, self._graph_tokens = launched * overheads.eager, overheads.graph_tokens

    def chunks(self, work: Sequence[tuple[int, int]]) -> Chunks:
        """Summary of prompt chunks given as (cached tokens, new tokens)."""
        return self._timer.chunks(work)

    def seconds(self, chunks: Chunks) -> float:
        """Seconds of the pass over these chunks and of their maps."""
        stage, tokens = self._timer.stages[0], chunks.tokens
        total = stage.token_seconds[tokens] + self._seconds[tokens]
        for kernel, piece in stage.pieces:
            total += piece.prompts(chunks.works[kernel])
        return max(total, self._launches if tokens > self._graph_tokens else 0.0)

    def work(self, chunks: Chunks) -> tuple[float, float]:
        """FLOPs and bytes of the same, on one device."""
        stage, tokens = self._timer.stages[0], chunks.tokens
        flops, moved = self._timer.attention_work([], 1, chunks)
        flops += stage.token_flops[tokens] + self._flops[tokens]
        moved += stage.token_bytes[tokens] + self._bytes[tokens]
        return flops, moved
