"""How long an iteration takes, from a model's operators and a device's timing law, in O(1) a step.

What depends on the token count alone is tabulated once; attention is asked of `attention_timer`. Only +, *, max
and table look-ups are used on the way, so one step and a thousand at once agree to the last bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.engine.attention_offload import AttentionOffload
from simulator.engine.chunks import NO_CHUNKS, Chunks, PromptPass
from simulator.engine.feed_forward import FeedForwardPool
from simulator.engine.ping_pong import PingPong
from simulator.engine.stage import Stage
from simulator.hardware.attention_kernel import AttentionKernel
from simulator.hardware.law import TimingLaw
from simulator.hardware.overheads import StepOverheads
from simulator.policies.execution import Execution, Sequential
from simulator.workloads.graph import spans
from simulator.workloads.parallelism import Parallelism, Precision
from simulator.workloads.span import Span
from simulator.workloads.transformer import Transformer

Floats = NDArray[np.float64]


class StepTimer:
    """Times iterations of one model instance on its devices.

    All times are seconds; FLOPs and bytes are of one device of each stage, added over the stages. With `offload`,
    decode attention is done elsewhere, and counted there. The first `shared_prefix` tokens, which all sequences have
    in common, are read once a step. `scored` steps also update a score of every token attended to. A `pool` feeds
    forward, and counts that work itself. With `prompt_pass`, another model computes prompts, and after it, in the same
    iteration, this one their last tokens and the decode step.
    """

    def __init__(
        self,
        model: Transformer,
        parallel: Parallelism,
        precision: Precision,
        law: TimingLaw,
        overheads: StepOverheads,
        execution: Execution | None = None,
        offload: AttentionOffload | None = None,
        shared_prefix: int = 0,
        scored: bool = False,
        pool: FeedForwardPool | None = None,
        prompt_pass: PromptPass | None = None,
    ) -> None:
        self.prompt_pass = prompt_pass
        self.execution: Execution = execution or Sequential()
        self.offload = offload
        self.shared_prefix = shared_prefix
        cut = self.execution.batches(1 << 60) if offload is None else offload.parts
        self.spans: tuple[Span, ...] = spans(model)
        self.overheads = overheads
        self.kernels: list[tuple[int, AttentionKernel]] = []
        self.stages = [
            Stage(model, parallel, precision, law, s, self.kernels, cut, offload, shared_prefix, scored, pool)
            for s in range(parallel.pipeline)
        ]
        self.ping_pong = None if pool is None else PingPong(pool, model, parallel, precision, law, self.kernels)
        self._only = self.stages[0]
        self._host_step = self.overheads.step_seconds(0)
        self._host_sequence = self.overheads.step_seconds(1) - self._host_step
        self._launches = [stage.kernels * overheads.eager for stage in self.stages]
        self._graph_tokens = overheads.graph_tokens
        self._arange = np.arange(1024, dtype=np.float64)

    def chunks(self, work: Sequence[tuple[int, int]], ends: Sequence[bool] | None = None) -> Chunks:
        """Summary of prompt chunks given as (cached tokens, new tokens).

        `ends` says which of them end their prompts (None: all), which matters with a prompt pass.
        """
        if not work:
            return NO_CHUNKS
        if self.prompt_pass is not None:
            return self._last_tokens(self.prompt_pass, work, ends or [True] * len(work))
        chunks = tuple(work)
        works = tuple([kernel.work(chunks) for _, kernel in self.kernels])
        if len(chunks) == 1:
            cached, new = chunks[0]
            pairs = tuple([s.pairs(cached, new) for s in self.spans])
            return Chunks(new, 1, pairs, tuple([s.context(cached, new) for s in self.spans]), works)
        pairs = tuple([sum([s.pairs(c, n) for c, n in chunks]) for s in self.spans])
        context = tuple([sum([s.context(c, n) for c, n in chunks]) for s in self.spans])
        return Chunks(sum([n for _, n in chunks]), len(chunks), pairs, context, works)

    def _last_tokens(self, before: PromptPass, work: Sequence[tuple[int, int]], ends: Sequence[bool]) -> Chunks:
        """What is left to this model of prompt chunks that another computes: a decode step of those that end."""
        left = [(cached, new - end) for (cached, new), end in zip(work, ends, strict=True) if new > end]
        lasts = [cached + new - 1 for (cached, new), end in zip(work, ends, strict=True) if end]
        context = tuple([sum([s.attended(last + 1) for last in lasts]) for s in self.spans])
        tokens = sum([new for _, new in work])
        return Chunks(tokens, len(lasts), (), context, (), before.chunks(left) if left else NO_CHUNKS)

    def own_tokens(self, decoding: Any, tokens: Any, sequences: Any) -> Any:
        """Tokens that pass through this model's layers, of iterations of `decoding` sequences and prompt `tokens`."""
        return decoding + (tokens if self.prompt_pass is None else sequences)

    def host_seconds(self, sequences: int) -> float:
        """Seconds that the engine itself adds to an iteration that samples `sequences` tokens."""
        return self._host_step + self._host_sequence * sequences

    def step_seconds(self, decoding: int, contexts: Sequence[tuple[int, int]], chunks: Chunks) -> float:
        """One iteration, all stages one after the other."""
        total = self.host_seconds(decoding + chunks.sequences)
        if chunks.elsewhere is not None:
            return total + self._after_prompts(chunks.elsewhere, decoding, contexts, chunks)
        for stage in range(len(self.stages)):
            total += self._stage_seconds(stage, decoding, contexts, chunks)
        return total

    def device_seconds(self, decoding: int, contexts: Sequence[tuple[int, int]], chunks: Chunks) -> float:
        """One iteration, all stages one after the other, without what the engine itself adds."""
        return sum(self._stage_seconds(stage, decoding, contexts, chunks) for stage in range(len(self.stages)))

    def _after_prompts(
        self, elsewhere: Chunks, decoding: int, contexts: Sequence[tuple[int, int]], chunks: Chunks
    ) -> float:
        """Another model's pass over the prompts, then a step of all that decode and of the prompts that end."""
        assert self.prompt_pass is not None
        total = self.prompt_pass.seconds(elsewhere) if elsewhere.tokens else 0.0
        rows = decoding + chunks.sequences
        if not rows:
            return total
        before = contexts if decoding else [(0, 0)] * len(self.spans)
        joined = [(start + more, growth) for (start, growth), more in zip(before, chunks.context, strict=True)]
        return total + self._stage_seconds(0, rows, joined, NO_CHUNKS)

    def launch_floor(self, stage: int, tokens: int) -> float:
        """The least that a stage takes for so many tokens: what the host needs to launch its kernels one by one."""
        return self._launches[stage] if tokens > self._graph_tokens else 0.0

    def prefetch_floor(self, stage: int, tokens: int) -> float:
        """The least that a stage takes for so many tokens: what loading experts ahead keeps the host link busy."""
        return self.stages[stage].prefetch_seconds[tokens] if self.stages[stage].prefetches else 0.0

    def floor(self, stage: int, tokens: int) -> float:
        """The least that a stage takes for so many tokens, whatever its operators take."""
        return max(self.launch_floor(stage, tokens), self.prefetch_floor(stage, tokens))

    def stage_seconds(self, decoding: int, contexts: Sequence[tuple[int, int]], chunks: Chunks) -> list[float]:
        """One iteration by stage; the first also carries the engine's own time."""
        times = [self._stage_seconds(stage, decoding, contexts, chunks) for stage in range(len(self.stages))]
        times[0] += self.host_seconds(decoding + chunks.sequences)
        return times

    def operator_seconds(self, decoding: int, contexts: Sequence[tuple[int, int]], chunks: Chunks) -> float:
        """What the operators of one iteration take, all stages one after the other, but not the host."""
        return sum(self._operator_seconds(stage, decoding, contexts, chunks) for stage in range(len(self.stages)))

    def _stage_seconds(self, number: int, decoding: int, contexts: Sequence[tuple[int, int]], chunks: Chunks) -> float:
        if self.offload is not None:
            return self._offloaded_seconds(self.offload, number, decoding, contexts, chunks)
        if self.ping_pong is not None:
            head = self._only.head_seconds[decoding + chunks.sequences]
            total = self.ping_pong.step_seconds(decoding, contexts, chunks) + head
            return max(total, self._ping_pong_floor(decoding + chunks.tokens))
        seconds = self._operator_seconds(number, decoding, contexts, chunks)
        return max(seconds, self.floor(number, decoding + chunks.tokens))

    def _operator_seconds(
        self, number: int, decoding: int, contexts: Sequence[tuple[int, int]], chunks: Chunks
    ) -> float:
        stage, tokens = self.stages[number], decoding + chunks.tokens
        overlapped = self.execution.batches(tokens) > 1
        total = 0.0 if overlapped else stage.token_seconds[tokens] + stage.head_seconds[decoding + chunks.sequences]
        for kernel, piece in stage.pieces:
            if not chunks.tokens:
                total += piece.decoding(decoding, contexts[piece.span][0])
            elif not decoding:
                total += piece.prompts(chunks.works[kernel])
            else:
                total += piece.mixed(chunks.works[kernel], decoding, contexts[piece.span][0])
        if overlapped:
            total = max(*self._side_by_side(stage, tokens, total)) + stage.head_seconds[decoding + chunks.sequences]
        return total

    def _offloaded_seconds(
        self, offload: AttentionOffload, number: int, decoding: int, contexts: Sequence[tuple[int, int]], chunks: Chunks
    ) -> float:
        """One iteration whose prompts attend here and whose decoding sequences attend elsewhere."""
        stage, tokens = self.stages[number], decoding + chunks.tokens
        here, there = self._dense_seconds(offload, stage, decoding, tokens), 0.0
        for kernel, piece in stage.pieces:
            if chunks.tokens:
                here += piece.prompts(chunks.works[kernel])
            if decoding:
                there += piece.decoding(decoding, contexts[piece.span][0])
        total = float(offload.beside(here, there, decoding)) + stage.head_seconds[decoding + chunks.sequences]
        return max(total, offload.prompt_seconds(chunks.context), self.launch_floor(number, tokens))

    def _dense_seconds(self, offload: AttentionOffload, stage: Stage, decoding: int, tokens: int) -> float:
        """Seconds of all but attention and head: whole, or in halves that each read the weights."""
        if offload.halves(decoding):
            return stage.dense_seconds[tokens] + stage.network_seconds[tokens]
        return stage.token_seconds[tokens]

    def _ping_pong_floor(self, tokens: int) -> float:
        """What the host of an attention device needs to launch the kernels of each micro-batch one by one."""
        assert self.ping_pong is not None
        cut = self.ping_pong.micro_batches(tokens)
        return cut * self.launch_floor(0, -(-tokens // cut))

    def _side_by_side(self, stage: Stage, tokens: int, attention: Any) -> tuple[Any, Any, Any]:
        """What bounds an iteration whose nano-batches overlap: the units, attention or the network.

        While attention takes `memory_units` of the units and a collective `network_units`, the rest multiply: the
        units are busy for the products' own time and for those shares of the others'.
        """
        network = stage.network_seconds[tokens]
        units = attention * self.execution.memory_units
        units = units + (stage.dense_seconds[tokens] + network * self.execution.network_units)
        return units, attention, network

    def decode_seconds(self, decoding: int, contexts: Sequence[tuple[int, int]], steps: int) -> Floats:
        """Durations of `steps` decode steps in a row (shape (steps,)), all stages one after the other."""
        if steps > len(self._arange):
            self._arange = np.arange(2 * steps, dtype=np.float64)
        index = self._arange[:steps]
        if self.ping_pong is not None:
            found = self.ping_pong.decode_seconds(decoding, contexts, index) + self._only.head_seconds[decoding]
            return np.maximum(found, self._ping_pong_floor(decoding)) + self.host_seconds(decoding)
        whole: Floats | None = None
        for number, stage in enumerate(self.stages):
            total: Floats | None = None
            for _, piece in stage.pieces:
                start, growth = contexts[piece.span]
                attended = index * growth
                attended += start
                seconds = piece.decode_run(decoding, attended, start, start + growth * (steps - 1))
                total = seconds if total is None else total + seconds
            assert total is not None
            if self.offload is not None:
                dense = self._dense_seconds(self.offload, stage, decoding, decoding)
                total = self.offload.beside(dense, total, decoding) + stage.head_seconds[decoding]
            elif self.execution.batches(decoding) > 1:
                units, attention, network = self._side_by_side(stage, decoding, total)
                total = np.maximum(np.maximum(units, attention), network) + stage.head_seconds[decoding]
            else:
                total += stage.token_seconds[decoding] + stage.head_seconds[decoding]
            floor = self.floor(number, decoding)
            if floor:
                np.maximum(total, floor, out=total)
            whole = total if whole is None else whole + total
        assert whole is not None
        whole += self.host_seconds(decoding)
        return whole

    def attention_work(self, contexts: Sequence[tuple[int, int]], steps: int, chunks: Chunks) -> tuple[float, float]:
        """FLOPs and cache bytes of attention in `steps` equal iterations."""
        flops = moved = 0.0
        if chunks.elsewhere is not None:
            return self._work_after_prompts(chunks.elsewhere, contexts, chunks)
        for stage in self.stages:
            for i, (start, growth) in enumerate(contexts):
                read = steps * start + growth * (steps * (steps - 1) // 2)
                flops += stage.decode_flops[i] * read
                if self.shared_prefix and self.spans[i].tokens is None:
                    read -= steps * self.shared_prefix * max(growth - 1, 0)  # each sequence grows by one
                moved += stage.decode_bytes[i] * read
            for i, pairs in enumerate(chunks.pairs):
                flops += stage.prompt_flops[i] * pairs
                moved += stage.prompt_bytes[i] * chunks.context[i]
        return flops, moved

    def _work_after_prompts(
        self, elsewhere: Chunks, contexts: Sequence[tuple[int, int]], chunks: Chunks
    ) -> tuple[float, float]:
        """All of another model's FLOPs and bytes, and attention of what decodes and of the prompts that end."""
        assert self.prompt_pass is not None
        flops, moved = self.attention_work(contexts, 1, NO_CHUNKS)
        for i, attended in enumerate(chunks.context):
            flops += self._only.decode_flops[i] * attended
            moved += self._only.decode_bytes[i] * attended
        if not elsewhere.tokens:
            return flops, moved
        more_flops, more_moved = self.prompt_pass.work(elsewhere)
        return flops + more_flops, moved + more_moved
