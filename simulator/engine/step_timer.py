"""How long an iteration takes, from a model's operators and a device's timing law, in O(1) a step.

What depends on the token count alone is tabulated once. Decode attention is, for a given number of
sequences, the larger of two roofs that are affine in the tokens attended, so a run of steps is a few array
operations. Only +, *, max and table look-ups are used on the way, so one step and a thousand at once agree
to the last bit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulator.hardware.law import TimingLaw
from simulator.workloads.graph import AttentionLoad, Span, attention_calls, head_calls, spans, token_calls
from simulator.workloads.operators import Attention, Call, Collective
from simulator.workloads.parallelism import Parallelism, Precision
from simulator.workloads.transformer import Transformer

Floats = NDArray[np.float64]
_PROBE = float(1 << 20)
_CLEARLY = 1.0 + 1e-6


class Table:
    """A function of a whole number, tabulated in doubling blocks as larger arguments are asked for."""

    def __init__(self, function: Callable[[Floats], Floats], *, first: int = 1024) -> None:
        self._function = function
        self._values: list[float] = []
        self._size = first

    def __getitem__(self, index: int) -> float:
        try:
            return self._values[index]
        except IndexError:
            self._extend(index)
            return self._values[index]

    def _extend(self, index: int) -> None:
        while self._size <= index:
            self._size *= 2
        start = len(self._values)
        self._values += self._function(np.arange(start, self._size, dtype=np.float64)).tolist()

    def many(self, indices: NDArray[np.int64]) -> Floats:
        """Values at an array of indices."""
        if len(indices):
            self[int(indices.max())]
        return np.asarray(self._values, dtype=np.float64)[indices]


@dataclass(frozen=True, slots=True)
class _DecodePiece:
    """Seconds of one attention call for n sequences: max(compute * x + compute0, memory * x + memory0)."""

    span: int
    compute: Table
    compute0: Table
    memory: Table
    memory0: Table

    def seconds(self, n: int, attended: Floats, least: int, most: int) -> Floats:
        """Seconds for each of the `attended` totals, which lie from `least` to `most`.

        A roof that is clearly the higher at both ends is the higher in between, since both are straight.
        """
        c, c0, m, m0 = self.compute[n], self.compute0[n], self.memory[n], self.memory0[n]
        if (c * least + c0) * _CLEARLY < m * least + m0 and (c * most + c0) * _CLEARLY < m * most + m0:
            return attended * m + m0
        return np.maximum(attended * c + c0, attended * m + m0)


@dataclass(frozen=True, slots=True)
class _PrefillPiece:
    """Seconds of one attention call: max(pairs * compute, context * memory + tokens * moved)."""

    span: int
    compute: float
    memory: float
    moved: float


@dataclass(frozen=True, slots=True)
class Chunks:
    """Prompt tokens of one iteration: how many, in how many sequences, and for each span pairs and context."""

    tokens: int
    sequences: int
    pairs: tuple[int, ...]
    context: tuple[int, ...]


NO_CHUNKS = Chunks(0, 0, (), ())


class _Stage:
    """Tables of one pipeline stage."""

    def __init__(
        self, model: Transformer, parallel: Parallelism, precision: Precision, law: TimingLaw, stage: int
    ) -> None:
        def total(calls: list[Call], like: Floats, of: Callable[[Call], object]) -> Floats:
            return sum((np.broadcast_to(np.asarray(of(c)) * c.count, like.shape) for c in calls), 0.0 * like)

        def seconds(call: Call) -> object:
            return law.seconds(call.op)

        def flops(call: Call) -> object:
            return call.op.flops()

        def moved(call: Call) -> object:
            return 0.0 if isinstance(call.op, Collective) else call.op.bytes()

        def tokens(of: Callable[[Call], object]) -> Table:
            return Table(lambda t: total(token_calls(model, parallel, precision, t, stage), t, of))

        def head(of: Callable[[Call], object]) -> Table:
            return Table(lambda s: total(head_calls(model, parallel, precision, s, stage), s, of), first=256)

        self.token_seconds, self.token_flops, self.token_bytes = tokens(seconds), tokens(flops), tokens(moved)
        self.head_seconds, self.head_flops, self.head_bytes = head(seconds), head(flops), head(moved)
        self.decode: list[_DecodePiece] = []
        self.prefill: list[_PrefillPiece] = []
        self.decode_overhead = self.prefill_overhead = 0.0
        self.pair_flops = [0.0] * len(spans(model))
        self.context_bytes = [0.0] * len(spans(model))
        for index, _ in enumerate(spans(model)):
            for decode in (True, False):
                self._attention(model, parallel, precision, law, stage, index, decode)

    def _attention(
        self,
        model: Transformer,
        parallel: Parallelism,
        precision: Precision,
        law: TimingLaw,
        stage: int,
        index: int,
        decode: bool,
    ) -> None:
        """Read the roofs of this span's attention off the timing law at a few probe loads."""

        def calls(load: AttentionLoad) -> list[Call]:
            empty = AttentionLoad()
            loads = [load if i == index else empty for i in range(len(spans(model)))]
            found = attention_calls(model, parallel, precision, loads, stage)
            return [c for c in found if isinstance(c.op, Attention) and c.op.decode == decode and np.any(c.op.queries)]

        if not decode:
            probe = _PROBE
            for nothing, context, pairs, tokens in zip(
                calls(AttentionLoad(prefill_tokens=1e-9)),
                calls(AttentionLoad(prefill_tokens=1e-9, prefill_context=probe)),
                calls(AttentionLoad(prefill_tokens=1e-9, prefill_pairs=probe)),
                calls(AttentionLoad(prefill_tokens=probe)),
                strict=True,
            ):
                count = nothing.count
                self.prefill.append(
                    _PrefillPiece(
                        index,
                        float(law.roofs(pairs.op).compute) / probe * count,
                        float(law.roofs(context.op).memory) / probe * count,
                        float(law.roofs(tokens.op).memory) / probe * count,
                    )
                )
                self.prefill_overhead += float(law.roofs(tokens.op).overhead) * count
                self.pair_flops[index] += float(pairs.op.flops()) / probe * count
                self.context_bytes[index] += float(context.op.bytes()) / probe * count
            return

        def table(position: int, of: Callable[[Call], object], at: float) -> Table:
            def values(n: Floats) -> Floats:
                load = AttentionLoad(decode_sequences=np.maximum(n, 1.0), decode_context=at + 0.0 * n)
                call = calls(load)[position]
                return np.broadcast_to(np.asarray(of(call)), n.shape) * call.count

            return Table(values, first=256)

        for position, sample in enumerate(calls(AttentionLoad(decode_sequences=1.0))):

            def slope(of: Callable[[Call], object], position: int = position) -> Table:
                far, near = table(position, of, _PROBE), table(position, of, 0.0)
                return Table(
                    lambda n: (far.many(n.astype(np.int64)) - near.many(n.astype(np.int64))) / _PROBE, first=256
                )

            def compute(call: Call) -> object:
                return law.roofs(call.op).compute

            def memory(call: Call) -> object:
                return law.roofs(call.op).memory

            self.decode.append(
                _DecodePiece(
                    index, slope(compute), table(position, compute, 0.0), slope(memory), table(position, memory, 0.0)
                )
            )
            self.decode_overhead += float(law.roofs(sample.op).overhead) * sample.count


class StepTimer:
    """Times iterations of one model instance on its devices.

    All times are seconds; FLOPs and bytes are of one device of each stage, added over the stages.
    """

    def __init__(self, model: Transformer, parallel: Parallelism, precision: Precision, law: TimingLaw) -> None:
        self.spans: tuple[Span, ...] = spans(model)
        self.overheads = law.calibration.overheads
        self.stages = [_Stage(model, parallel, precision, law, s) for s in range(parallel.pipeline)]
        self._only = self.stages[0]
        self._host_step = self.overheads.step_seconds(0)
        self._host_sequence = self.overheads.step_seconds(1) - self._host_step
        self._arange = np.arange(1024, dtype=np.float64)

    def chunks(self, work: Sequence[tuple[int, int]]) -> Chunks:
        """Summary of prompt chunks given as (cached tokens, new tokens)."""
        if not work:
            return NO_CHUNKS
        pairs = tuple(sum(s.pairs(c, n) for c, n in work) for s in self.spans)
        context = tuple(sum(s.context(c, n) for c, n in work) for s in self.spans)
        return Chunks(sum(n for _, n in work), len(work), pairs, context)

    def host_seconds(self, sequences: int) -> float:
        """Seconds that the engine itself adds to an iteration that samples `sequences` tokens."""
        return self._host_step + self._host_sequence * sequences

    def step_seconds(self, decoding: int, contexts: Sequence[tuple[int, int]], chunks: Chunks) -> float:
        """One iteration, all stages one after the other."""
        total = self.host_seconds(decoding + chunks.sequences)
        for stage in self.stages:
            total += self._stage_seconds(stage, decoding, contexts, chunks)
        return total

    def stage_seconds(self, decoding: int, contexts: Sequence[tuple[int, int]], chunks: Chunks) -> list[float]:
        """One iteration by stage; the first also carries the engine's own time."""
        times = [self._stage_seconds(stage, decoding, contexts, chunks) for stage in self.stages]
        times[0] += self.host_seconds(decoding + chunks.sequences)
        return times

    def _stage_seconds(
        self, stage: _Stage, decoding: int, contexts: Sequence[tuple[int, int]], chunks: Chunks
    ) -> float:
        total = stage.token_seconds[decoding + chunks.tokens] + stage.head_seconds[decoding + chunks.sequences]
        if decoding:
            for p in stage.decode:
                x = contexts[p.span][0]
                total += max(
                    p.compute[decoding] * x + p.compute0[decoding], p.memory[decoding] * x + p.memory0[decoding]
                )
            total += stage.decode_overhead
        if chunks.tokens:
            for q in stage.prefill:
                compute = chunks.pairs[q.span] * q.compute
                total += max(compute, chunks.context[q.span] * q.memory + chunks.tokens * q.moved)
            total += stage.prefill_overhead
        return total

    def decode_seconds(self, decoding: int, contexts: Sequence[tuple[int, int]], steps: int) -> Floats:
        """Durations of `steps` decode steps in a row (shape (steps,)), all stages one after the other."""
        if steps > len(self._arange):
            self._arange = np.arange(2 * steps, dtype=np.float64)
        index = self._arange[:steps]
        fixed = self.host_seconds(decoding)
        total: Floats | None = None
        for stage in self.stages:
            fixed += stage.token_seconds[decoding] + stage.head_seconds[decoding] + stage.decode_overhead
            for piece in stage.decode:
                start, growth = contexts[piece.span]
                attended = index * growth
                attended += start
                seconds = piece.seconds(decoding, attended, start, start + growth * (steps - 1))
                total = seconds if total is None else total + seconds
        assert total is not None
        total += fixed
        return total

    def attention_work(self, contexts: Sequence[tuple[int, int]], steps: int, chunks: Chunks) -> tuple[float, float]:
        """FLOPs and cache bytes of attention in `steps` equal iterations."""
        flops = moved = 0.0
        for stage in self.stages:
            for i, (start, growth) in enumerate(contexts):
                read = steps * start + growth * (steps * (steps - 1) // 2)
                flops += stage.pair_flops[i] * read
                moved += stage.context_bytes[i] * read
            for i, pairs in enumerate(chunks.pairs):
                flops += stage.pair_flops[i] * pairs
                moved += stage.context_bytes[i] * chunks.context[i]
        return flops, moved
