"""A small serving engine that computes: a random decoder in NumPy under the simulator's own policies and processes.

It is the simulator with another clock. The same lanes, queues and batching policies run, but an iteration takes as
long as its kernels really took on this machine, over a paged cache that really holds keys and values.
"""

from __future__ import annotations

import time
from collections.abc import Sequence as Rows
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from simulator.calibrate import numpy_kernels as kernels
from simulator.engine.chunks import Chunks
from simulator.hardware.overheads import StepOverheads
from simulator.policies.batching.state import ServingState
from simulator.policies.sequence import Sequence
from simulator.workloads.span import Span
from simulator.workloads.transformer import FeedForward, Transformer

Array = NDArray[np.float32]


class Decoder:
    """A decoder-only model with random weights and a paged cache of `blocks` blocks of `block_tokens` tokens."""

    def __init__(self, model: Transformer, *, blocks: int, block_tokens: int, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        attention, ffn = model.layers[0].attention, model.layers[0].ffn
        assert isinstance(ffn, FeedForward)
        self.heads, self.width, self.block_tokens = attention.q_heads, attention.head_dim, block_tokens
        hidden, inner = model.hidden, self.heads * self.width

        def weights(rows: int, columns: int) -> Array:
            return rng.standard_normal((rows, columns), dtype=np.float32) / np.float32(np.sqrt(rows))

        self.embedding = rng.standard_normal((model.vocab, hidden), dtype=np.float32)
        self.norm = np.ones(hidden, np.float32)
        self.layers = [
            (
                weights(hidden, 3 * inner),
                weights(inner, hidden),
                weights(hidden, 2 * ffn.intermediate),
                weights(ffn.intermediate, hidden),
            )
            for _ in model.layers
        ]
        self.head = weights(hidden, model.vocab)
        shape = (len(model.layers), 2, blocks, block_tokens, self.heads, self.width)
        self.cache = np.zeros(shape, np.float32)
        angle = np.arange(model.max_tokens)[:, None] / 10000.0 ** (np.arange(inner // 2) / (inner // 2))
        self.cosine, self.sine = np.cos(angle).astype(np.float32), np.sin(angle).astype(np.float32)

    def step(self, tokens: Rows[int], parts: Rows[tuple[kernels.Ints, int, int]]) -> kernels.Ints:
        """One iteration: the next token of each part.

        `tokens` are the new tokens of all parts one after the other; a part is its block table, its cached and its
        new tokens. Parts of one new token come first.
        """
        positions = np.concatenate([np.arange(cached, cached + new) for _, cached, new in parts])
        places = [(table[p // self.block_tokens], p % self.block_tokens) for table, p in self._places(parts, positions)]
        block, slot = (np.array(x) for x in zip(*places, strict=True))
        x, residual = self.embedding[np.asarray(tokens)], np.zeros((len(tokens), len(self.norm)), np.float32)
        for number, (qkv, out, up, down) in enumerate(self.layers):
            residual, normed = kernels.rms_norm(x, residual, self.norm)
            q, k, v = np.split(normed @ qkv, 3, axis=-1)
            cosine, sine = self.cosine[positions], self.sine[positions]
            q, k = kernels.rotate(q, cosine, sine), kernels.rotate(k, cosine, sine)
            keys, values = self.cache[number]
            keys[block, slot] = k.reshape(-1, self.heads, self.width)
            values[block, slot] = v.reshape(-1, self.heads, self.width)
            x = self._attend(q.reshape(-1, self.heads, self.width), keys, values, parts) @ out
            residual, normed = kernels.rms_norm(x, residual, self.norm)
            gate, raised = np.split(normed @ up, 2, axis=-1)
            x = kernels.silu_mul(gate, raised) @ down
        ends = np.cumsum([new for _, _, new in parts]) - 1
        _, normed = kernels.rms_norm(x[ends], residual[ends], self.norm)
        return kernels.sample(normed @ self.head)

    def _places(
        self, parts: Rows[tuple[kernels.Ints, int, int]], positions: kernels.Ints
    ) -> list[tuple[kernels.Ints, int]]:
        tables = [table for table, _, new in parts for _ in range(new)]
        return list(zip(tables, positions.tolist(), strict=True))

    def _attend(self, q: Array, keys: Array, values: Array, parts: Rows[tuple[kernels.Ints, int, int]]) -> Array:
        single = sum(1 for _, _, new in parts if new == 1)
        found = [
            kernels.decode_attention(
                q[:single], keys, values, [t for t, _, _ in parts[:single]], [c + 1 for _, c, _ in parts[:single]]
            )
        ]
        start = single
        for table, cached, new in parts[single:]:
            k, v = (kernels.gather(x, table, cached + new) for x in (keys, values))
            rows = kernels.prompt_attention(q[start : start + new].swapaxes(0, 1), k, v)
            found.append(rows.swapaxes(0, 1))
            start += new
        return np.concatenate(found).reshape(len(q), -1)


@dataclass
class RealTimer:
    """What the engine asks instead of a step timer: runs each iteration and answers how long it took."""

    decoder: Decoder
    overheads: StepOverheads = field(default_factory=StepOverheads)
    spans: tuple[Span, ...] = (Span(),)
    stages: tuple[None, ...] = (None,)
    prompt_pass: None = None
    shared_prefix: int = 0
    state: ServingState | None = None
    iterations: int = 0
    _tables: dict[Sequence, list[int]] = field(default_factory=dict)
    _free: list[int] = field(default_factory=list)
    _chunks: tuple[tuple[int, int], ...] = ()

    def __post_init__(self) -> None:
        self._free = list(range(self.decoder.cache.shape[2]))

    def chunks(self, work: Rows[tuple[int, int]]) -> Chunks:
        """Remembers the prompt chunks of the iteration to come."""
        self._chunks = tuple(work)
        pairs, context = (sum(f(c, n) for c, n in work) for f in (self.spans[0].pairs, self.spans[0].context))
        return Chunks(sum(n for _, n in work), len(work), (pairs,), (context,), ())

    def step_seconds(self, decoding: int, contexts: object, chunks: Chunks) -> float:
        """Seconds that an iteration with prompts really takes."""
        return self._run(decoding, self._chunks if chunks.tokens else ())

    def decode_seconds(self, decoding: int, contexts: object, steps: int) -> NDArray[np.float64]:
        """Seconds that one decode step really takes; `steps` is 1 without fast-forward."""
        return np.array([self._run(decoding, ())])

    def attention_work(self, *_: object) -> tuple[float, float]:
        """Nothing: utilisation is not asked of a real run."""
        return 0.0, 0.0

    def _run(self, decoding: int, chunks: tuple[tuple[int, int], ...]) -> float:
        assert self.state is not None
        members = list(self.state.decoding) if decoding else []
        prompts = list(self.state.prefilling)[: len(chunks)]
        self._release({*self.state.decoding, *self.state.prefilling})
        step = self.state.decoding.step
        parts = [(self._table(s, c + 1), c, 1) for s, c in ((s, s.computed + step - s.joined_at) for s in members)]
        single = [(s, c, n) for s, (c, n) in zip(prompts, chunks, strict=True) if n == 1]
        longer = [(s, c, n) for s, (c, n) in zip(prompts, chunks, strict=True) if n > 1]
        parts += [(self._table(s, c + n), c, n) for s, c, n in single + longer]
        tokens = [7] * sum(n for _, _, n in parts)
        started = time.perf_counter()
        self.decoder.step(tokens, parts)
        self.iterations += 1
        return time.perf_counter() - started

    def _table(self, sequence: Sequence, tokens: int) -> kernels.Ints:
        """The sequence's pages, with room for so many tokens."""
        table = self._tables.setdefault(sequence, [])
        while len(table) * self.decoder.block_tokens < tokens:
            table.append(self._free.pop())
        return np.array(table)

    def _release(self, running: set[Sequence]) -> None:
        for sequence in [s for s in self._tables if s not in running]:
            self._free += self._tables.pop(sequence)
