"""Fused attention: tiles of query rows that stream over keys, and the split-key kernel of single-token queries.

FlashAttention-2 (arXiv:2307.08691) cuts queries into tiles and gives each to one unit; the exponentials of the
softmax cost beside the products (FlashAttention-3, arXiv:2407.08608); Flash-Decoding (Dao et al., 2023) splits
the keys of a single query over units and combines the parts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from simulator.hardware.kernels.machine import Machine, Roofs, joined4, ramp
from simulator.workloads.operators import HeadShape, Size

KEY_BLOCK = 128
SMALLEST_TILE = 16
LATENT_GROUP = 64  # query heads of one unit in kernels for latent attention (FlashMLA)
SLOTS_PER_UNIT = 2
THROTTLE_SECONDS = 2e-4


class Work(NamedTuple):
    """Attention work of some prompt chunks on one device; all but `longest` add up over chunks."""

    row_keys: float = 0.0
    tiles: float = 0.0
    cache_bytes: float = 0.0
    query_bytes: float = 0.0
    longest: float = 0.0

    def plus(self, other: Work) -> Work:
        return Work(
            self.row_keys + other.row_keys,
            self.tiles + other.tiles,
            self.cache_bytes + other.cache_bytes,
            self.query_bytes + other.query_bytes,
            max(self.longest, other.longest),
        )

    def times(self, share: float) -> Work:
        """A share of this work; the longest tile stays."""
        if share == 1.0:
            return self
        return Work(
            self.row_keys * share, self.tiles * share, self.cache_bytes * share, self.query_bytes * share, self.longest
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class AttentionCurve:
    """Parameters for prompts, and for mixed batches where one kernel serves them (`one_kernel`).

    `compute` and `memory` are shares of the roofs, `narrow` and `wide` what heads of 64 and of 256 numbers reach
    of those of 128, `softmax` the unit cycles that one score costs beside the products, `chain` how much of the longest
    tile is felt as the tail, `throttle` the slowdown of long kernels, `reread` the share of cache traffic that
    query heads of a group repeat. Seconds: `latency`, `tile` of each tile on its unit, `ramp`. A unit takes
    `rows` query rows at a time; where `packed`, those of all query heads of one key head.
    """

    compute: float
    memory: float
    rows: int = 128
    packed: bool = False
    one_kernel: bool = False
    narrow: float = 1.0
    wide: float = 1.0
    softmax: float = 0.02
    chain: float = 0.5
    throttle: float = 0.001
    reread: float = 0.0
    latency: float = 5e-6
    tile: float = 1e-6
    ramp: float = 2e-6
    cache_gain: float = 0.001
    cache_share: float = 0.5

    def work(self, new: float, cached: float, shape: HeadShape, window: int | None = None) -> Work:
        """Work of one chunk of `new` tokens after `cached` ones."""
        group = shape.q_heads / shape.kv_heads if self.packed else 1.0
        heads = shape.kv_heads if self.packed else shape.q_heads
        rows = new * group
        tile = min(max(2.0 ** math.ceil(math.log2(rows)), SMALLEST_TILE), self.rows)
        count = math.ceil(rows / tile)
        step = tile / group
        total = cached + new
        keys = min(cached * count + step * count * (count + 1) / 2, count * total)
        longest: float = total
        if window is not None:
            most = window + step
            growing = min(max((most - cached) / step, 0.0), count)
            keys = min(keys, cached * growing + step * growing * (growing + 1) / 2 + (count - growing) * most)
            longest = min(total, most)
        read = total if window is None else min(total, new + window)
        return Work(
            heads * tile * (keys + count * KEY_BLOCK / 2),
            heads * count,
            read * shape.kv_elements * shape.kv_bytes,
            new * shape.q_heads * (shape.qk_dim + shape.v_dim) * shape.activation_bytes,
            longest + KEY_BLOCK / 2,
        )

    def decode_rates(self, shape: HeadShape) -> tuple[float, float, float, float]:
        """What a decoding sequence adds to the prompts' kernel as tiles of its own.

        Row-keys for each key, tiles, cache bytes for each token attended, query bytes.
        """
        group = shape.q_heads / shape.kv_heads if self.packed else 1.0
        heads = shape.kv_heads if self.packed else shape.q_heads
        rows = min(max(2.0 ** math.ceil(math.log2(group)), SMALLEST_TILE), self.rows) if self.packed else self.rows
        width = shape.qk_dim + shape.v_dim
        return (
            heads * rows, heads, shape.kv_elements * shape.kv_bytes, shape.q_heads * width * shape.activation_bytes
        )  # fmt: skip

    def with_decoding(
        self, work: Work, sequences: float, attended: float, rates: tuple[float, float, float, float]
    ) -> Work:
        """Prompt work together with sequences that attend to `attended` tokens in all, at their `decode_rates`."""
        if not sequences:
            return work
        rows, tiles, cache, query = rates
        return Work(
            work.row_keys + rows * (attended + sequences * (KEY_BLOCK / 2)),
            work.tiles + tiles * sequences,
            work.cache_bytes + cache * attended,
            work.query_bytes + query * sequences,
            max(work.longest, attended / sequences + KEY_BLOCK / 2),
        )

    def costs(self, shape: HeadShape, *, peak: float, machine: Machine) -> AttentionCosts:
        """What each unit of work costs for heads of this shape on this machine."""
        rate = peak * self.compute * width_share(shape, self.narrow, self.wide)
        products = 2.0 * (shape.qk_dim + shape.v_dim) / rate
        per_key = products + self.softmax / machine.cycles
        group = shape.q_heads / shape.kv_heads
        again = 1.0 if self.packed else 1.0 + self.reread * (group - 1.0)
        return AttentionCosts(
            self, machine, per_key, self.tile / machine.units, self.chain * self.rows * per_key * machine.units, again
        )


@dataclass(frozen=True, slots=True)
class AttentionCosts:
    """Seconds of a row and key, of a tile, of a key of the longest tile; how often cache traffic is repeated."""

    curve: AttentionCurve
    machine: Machine
    row_key: Size
    tile: float
    longest_key: Size
    again: Size

    def bounds(self, work: Work) -> tuple[Size, Size, Size]:
        """Compute, memory and overhead seconds of one kernel over this work; its fields may be arrays."""
        c = self.curve
        compute = work.row_keys * self.row_key + work.tiles * self.tile
        compute = compute * (1.0 + c.throttle * compute / (compute + THROTTLE_SECONDS))
        moved = work.cache_bytes * self.again + work.query_bytes
        memory = self.machine.traffic_seconds(moved, c.memory, c.cache_gain, c.cache_share)
        return compute + work.longest * self.longest_key, memory, c.latency + ramp(memory, c.ramp)

    def roofs(self, work: Work) -> Roofs:
        """Roofs of one kernel over this work."""
        return Roofs(*self.bounds(work), 4.0)

    def seconds(self, work: Work, overlap: float = 0.0) -> Size:
        """Seconds of one kernel over this work, a share of its overhead hidden."""
        compute, memory, overhead = self.bounds(work)
        return (compute**4 + memory**4) ** 0.25 + overhead * (1.0 - overlap)


@dataclass(frozen=True, slots=True)
class DecodeCurve:
    """Parameters for batches of single-token queries.

    Shares: `compute` and `memory` of the roofs. `feed` is the bytes that one unit draws each cycle, `narrow` and `wide`
    are as for prompts, `softmax` the unit cycles of a score. `group` is the most query heads that one unit serves at
    once, of which it computes whole `rows`, `fallback` the slowdown where more than 32 share a key head, `block` the
    tokens that a split of the keys has at least. Seconds: `latency`, `unit` of one unit's pass, `combine` of the split
    parts, `row` for each query head, `sequence` for each sequence where a host serves them one by one, `ramp`.
    """

    compute: float
    memory: float
    group: int = 16
    rows: int = 8
    feed: float = 30.0
    narrow: float = 1.0
    wide: float = 1.0
    softmax: float = 0.005
    fallback: float = 1.0
    block: float = 256.0
    latency: float = 4e-6
    unit: float = 2e-6
    combine: float = 2e-6
    row: float = 1e-10
    sequence: float = 0.0
    ramp: float = 2e-6
    cache_gain: float = 0.001
    cache_share: float = 0.5

    def roofs(self, sequences: Size, attended: Size, shape: HeadShape, *, peak: float, machine: Machine) -> Roofs:
        """Roofs for `sequences` queries that attend to `attended` tokens in all; arrays broadcast.

        Uses only sums, products, quotients, maxima and square roots, so that a number and an array that holds
        it round alike.
        """
        token_bytes = shape.kv_elements * shape.kv_bytes
        memory = machine.traffic_seconds(attended * token_bytes, self.memory, self.cache_gain, self.cache_share)
        group = shape.q_heads / shape.kv_heads
        rows = shape.kv_heads * np.ceil(group / self.rows) * self.rows
        per_key = 2.0 * (shape.qk_dim + shape.v_dim) / (peak * self.compute) + self.softmax / machine.cycles
        compute = attended * (rows * per_key)
        slots = SLOTS_PER_UNIT * machine.units
        served = LATENT_GROUP if shape.latent else self.group
        units = sequences * (shape.kv_heads * np.ceil(group / served))
        keys = attended / np.maximum(sequences, 1e-9)
        split = np.minimum(np.maximum(slots / np.maximum(units, 1e-9), 1.0), np.maximum(1.0, keys / self.block))
        passed = (
            keys / split * (token_bytes / shape.kv_heads / (self.feed * machine.clock / SLOTS_PER_UNIT)) + self.unit
        )
        streamed = joined4(np.maximum(1.0, units * split / slots) * passed, memory)
        fallback = 1.0 if shape.latent else np.where(group > 32.0, self.fallback, 1.0)
        slow = fallback / width_share(shape, self.narrow, self.wide)
        split_up = np.minimum(np.maximum(keys / self.block - 1.0, 0.0), 1.0)
        overhead = self.latency + self.combine * split_up + (self.row * shape.q_heads + self.sequence) * sequences
        return Roofs(compute * slow, streamed * slow, overhead + ramp(memory, self.ramp), 2.0)

    def seconds(self, sequences: Size, attended: Size, shape: HeadShape, *, peak: float, machine: Machine) -> Size:
        """Seconds of one kernel."""
        found = self.roofs(sequences, attended, shape, peak=peak, machine=machine)
        return np.sqrt(found.compute * found.compute + found.memory * found.memory) + found.overhead


def width_share(shape: HeadShape, narrow: float, wide: float) -> Size:
    """Efficiency of heads of this width relative to those of 128 numbers, by `narrow` (64) and `wide` (256)."""
    if shape.latent:
        return 1.0
    if isinstance(shape.v_dim, int):
        return narrow if shape.v_dim <= 64 else 1.0 if shape.v_dim <= 128 else wide**0.5 if shape.v_dim < 256 else wide
    width = np.asarray(shape.v_dim)
    return np.where(width <= 64, narrow, np.where(width <= 128, 1.0, np.where(width < 256, wide**0.5, wide)))
