"""Decode attention away from the device of the dense operators: on a pool of other devices, or on storage.

The pool keeps the KV cache. In each layer queries, keys and values of the new tokens go to it over a link and the
attention's outputs come back (Lamina, arXiv:2405.01814; InstInfer, arXiv:2409.04992), or the cache is streamed to the
device, which attends itself (FlexGen, arXiv:2303.06865). Prompts are computed on the device, and their cache moves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from simulator.errors import InputError
from simulator.hardware.attention_kernel import AttentionKernel
from simulator.hardware.device import Device
from simulator.hardware.law import TimingLaw
from simulator.hardware.links import Link
from simulator.workloads.graph import attention_shapes, spans
from simulator.workloads.operators import HeadShape
from simulator.workloads.parallelism import Parallelism, Precision, kv_bytes_per_token
from simulator.workloads.transformer import Transformer

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class AttentionPool:
    """Where one replica's KV cache is: `devices` equal accelerators (`law` times them) or storage drives (None).

    `capacity` is the bytes of cache on each, `bandwidth` the bytes a second that a drive reads of its own. Every
    device of the pool, and every device of the replica, has one `link`. With `streamed` the replica's devices attend
    to what the drives send. With `overlap` a batch is cut in two halves, of which one is in attention while the other
    is in the dense operators.
    """

    devices: int
    capacity: float
    link: Link
    law: TimingLaw | None = None
    bandwidth: float = 0.0
    streamed: bool = False
    overlap: bool = False
    watts: float = 0.0
    price: float | None = None

    @property
    def device(self) -> Device | None:
        """The accelerator of the pool, None for storage."""
        return None if self.law is None else self.law.device

    def block_bytes(self, model: Transformer, precision: Precision, block_tokens: int) -> float:
        """Bytes of one KV block on each device of the pool: accelerators share heads, drives share tokens."""
        if self.law is not None:
            return kv_bytes_per_token(model, Parallelism(tensor=self.devices), precision) * block_tokens
        return kv_bytes_per_token(model, Parallelism(), precision) * block_tokens / self.devices

    def blocks(self, model: Transformer, precision: Precision, block_tokens: int) -> int:
        """KV blocks that the pool holds. Raises `InputError` if it holds none to speak of."""
        found = int(self.capacity // self.block_bytes(model, precision, block_tokens))
        if found < 2:
            raise InputError("attention_offload: the pool holds less than two KV blocks: raise devices or capacity_gb")
        return found


class RemoteReader(Protocol):
    """Reads the cache of one layer for a step's queries."""

    def seconds(self, sequences: float, attended: Floats) -> Floats:
        """Seconds for `sequences` queries that attend to so many tokens in all (any shape)."""
        ...


@dataclass(frozen=True, slots=True)
class Accelerators:
    """Accelerators that split the heads and attend side by side, by their own timing law."""

    kernel: AttentionKernel

    def seconds(self, sequences: float, attended: Floats) -> Floats:
        return np.asarray(self.kernel.decoding(sequences, attended).seconds(), dtype=np.float64)


@dataclass(frozen=True, slots=True)
class Drives:
    """Storage that reads `token_bytes` of each attended token at `bandwidth` in all, and computes as fast."""

    token_bytes: float
    bandwidth: float

    def seconds(self, sequences: float, attended: Floats) -> Floats:
        return attended * (self.token_bytes / self.bandwidth)


@dataclass(frozen=True, slots=True)
class Streamed:
    """Drives whose bytes arrive while the device's own kernel works on them."""

    drives: Drives
    kernel: AttentionKernel

    def seconds(self, sequences: float, attended: Floats) -> Floats:
        computed = np.asarray(self.kernel.decoding(sequences, attended).seconds(), dtype=np.float64)
        return np.maximum(computed, self.drives.seconds(sequences, attended))


@dataclass(frozen=True, slots=True)
class RemoteLayer:
    """One layer's attention as the replica sees it: there, the reading, and back.

    `sent` and `returned` are bytes of one sequence, `rate` bytes a second of all links, `latency` of one way. The
    sequences are cut into `parts` that follow each other.
    """

    reader: RemoteReader
    sent: float
    returned: float
    rate: float
    latency: float
    parts: int = 1

    def seconds(self, sequences: float, attended: Floats) -> Floats:
        """Seconds of all parts; see `RemoteReader.seconds`."""
        parts = self.parts if sequences >= self.parts else 1
        each = sequences / parts
        moved = each * (self.sent + self.returned) / self.rate + 2.0 * self.latency
        return parts * (self.reader.seconds(each, attended / parts) + moved)


class AttentionOffload:
    """The step timer's view of a pool, for one model on one layout."""

    def __init__(
        self, pool: AttentionPool, model: Transformer, parallel: Parallelism, precision: Precision, law: TimingLaw
    ) -> None:
        _check(pool, model, parallel)
        self.pool = pool
        self.parts = 2 if pool.overlap else 1
        self._fill = 1.0 / (2.0 * len(model.layers))
        one_way = pool.link.bandwidth * pool.link.efficiency
        rate = min(pool.devices, parallel.tensor) * one_way
        own = attention_shapes(model, parallel, precision)
        whole = attention_shapes(model, Parallelism(), precision)
        self._context_seconds = [0.0] * len(spans(model))
        for span, _, heads, layers in whole:
            self._context_seconds[span] += layers * float(heads.kv_elements) * heads.kv_bytes / rate
        readers = _readers(pool, model, precision, law, rate, [(span, prompt, heads) for span, prompt, heads, _ in own])
        self.layers = [
            _layer(reader, heads, rate, pool.link.latency, pool.streamed, self.parts)
            for reader, (_, _, heads, _) in zip(readers, whole, strict=True)
        ]

    def halves(self, decoding: int) -> bool:
        """Whether so many decoding sequences are cut in two that take turns."""
        return self.parts > 1 and decoding >= self.parts

    def beside(self, dense: float, attention: Any, decoding: int) -> Any:
        """Seconds of a step's dense operators and its attention elsewhere (one number, or an array of steps).

        In halves, each layer is two jobs that pass two stages: of 2 L such jobs the longer stage takes all, and the
        shorter one is bare for one job (Johnson's flow shop with equal jobs).
        """
        if not self.halves(decoding):
            return attention + dense
        longer, shorter = np.maximum(attention, dense), np.minimum(attention, dense)
        return longer + shorter * self._fill

    def prompt_seconds(self, context: Sequence[int]) -> float:
        """Least seconds for prompt chunks of so much context by span: its cache comes over the link, or leaves."""
        return sum([each * tokens for each, tokens in zip(self._context_seconds, context, strict=False)])


def _check(pool: AttentionPool, model: Transformer, parallel: Parallelism) -> None:
    if parallel.pipeline > 1 or parallel.data > 1:
        raise InputError("attention_offload beside pipeline or data parallelism is not modelled: set both to 1")
    if pool.law is not None:
        heads = min(layer.attention.q_heads for layer in model.layers)
        if heads % pool.devices:
            raise InputError(
                f"attention_offload.devices {pool.devices} does not divide the {heads} heads: choose another"
            )


def _readers(
    pool: AttentionPool,
    model: Transformer,
    precision: Precision,
    law: TimingLaw,
    rate: float,
    own: list[tuple[int, HeadShape, HeadShape]],
) -> list[RemoteReader]:
    windows = [span.window for span in spans(model)]
    if pool.law is not None:
        shared = attention_shapes(model, Parallelism(tensor=pool.devices), precision)
        return [Accelerators(pool.law.attention(prompt, heads, windows[span])) for span, prompt, heads, _ in shared]
    found: list[RemoteReader] = []
    for (span, prompt, heads), (_, _, whole, _) in zip(
        own, attention_shapes(model, Parallelism(), precision), strict=True
    ):
        token = float(whole.kv_elements) * whole.kv_bytes
        inside = pool.devices * pool.bandwidth
        if pool.streamed:
            kernel = law.attention(prompt, heads, windows[span])
            found.append(Streamed(Drives(token, min(inside, rate)), kernel))
        else:
            found.append(Drives(token, inside))
    return found


def _layer(
    reader: RemoteReader, heads: HeadShape, rate: float, latency: float, streamed: bool, parts: int
) -> RemoteLayer:
    """What moves for one token: its query, key and value there and the output back; streamed, key and value alone."""
    width = heads.activation_bytes
    stored = float(heads.kv_elements) * heads.kv_bytes
    if streamed:
        return RemoteLayer(reader, stored, 0.0, rate, latency, parts)
    sent = float(heads.q_heads * heads.qk_dim) * width + stored
    return RemoteLayer(reader, sent, float(heads.q_heads * heads.v_dim) * width, rate, latency, parts)
