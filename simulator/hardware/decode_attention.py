"""Attention of new tokens over a cache, as its pieces are dealt to a device's units in waves.

A unit works through tiles of keys one after the other, no quicker than it multiplies them with its padded queries and
draws them from the cache; all units together draw from the memory. A wave lasts as long as its units take.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from simulator.hardware.kernels import Roofs
from simulator.hardware.kernels.machine import ramp
from simulator.workloads.operators import HeadShape, Size
from simulator.workloads.operators.products import DecodeAttention

if TYPE_CHECKING:
    from simulator.hardware.law import TimingLaw

# Tiles of FlashAttention-2's kernels of few queries: rows of queries, and keys by the width of a head
# (flash-attention, csrc/flash_attn/src/flash_fwd_launch_template.h, run_mha_fwd_splitkv_dispatch).
ROWS = 64
KEYS_BY_WIDTH = ((64, 256), (128, 128), (np.inf, 64))
# Splitting stops at so many parts, at the least number whose waves are nearly as full as the fullest ones, and is left
# out where pieces alone fill most units (flash-attention, csrc/flash_attn/flash_api.cpp, num_splits_heuristic).
MOST_PARTS, NEARLY, FILLED = 128, 0.85, 0.8
# Share of peak that attention reaches at most (FlashAttention-2, arXiv:2307.08691, abstract).
MOST_OF_PEAK = 0.73
PARTIAL_BYTES = 4.0  # partial results are kept in fp32


def decode_attention_roofs(law: TimingLaw, op: DecodeAttention) -> Roofs:
    """Seconds of one call; under the roof of memory waves that the units do not fill count too."""
    shape = HeadShape(op.kv_heads * op.group, op.kv_heads, op.qk_width, op.v_width,
                      op.kv_heads * (op.qk_width + op.v_width), op.activation, op.cache)  # fmt: skip
    known, machine = law.calibrations.find("decode", shape.format), law.machine
    block = keys_of_a_tile(op.qk_width)
    tiles = np.ceil(np.asarray(op.keys) / block)
    pieces: Any = op.pieces * np.ceil(np.asarray(op.group) / ROWS)
    held = block * (op.qk_width + op.v_width) * op.cache.bytes
    alone = np.maximum(_multiplied(law, shape, block), held / _drawn(law))
    drawn = machine.traffic_seconds(held, known.curve.memory, known.curve.cache_gain, known.curve.cache_share)

    def wave(running: Size, each: Size) -> Any:
        """Seconds in which so many units work through so many tiles each."""
        return each * np.maximum(alone, running * drawn)

    def dealt(work: Size, each: Size) -> Any:
        full = np.floor(np.asarray(work) / machine.units)
        return full * wave(machine.units, each) + wave(work - full * machine.units, each) * (
            work > full * machine.units
        )

    combined: Any = 0.0
    if op.split == "even":
        busy = np.ceil(pieces * tiles / machine.units) * alone
        seconds = np.maximum(busy, pieces * tiles * drawn)
    else:
        parts = parts_of(pieces, tiles, machine.units) if op.split == "keys" else np.ones_like(tiles)
        each = np.ceil(tiles / parts)
        seconds = dealt(pieces * parts, each)
        busy = np.ceil(pieces * parts / machine.units) * each * alone
        partial = 2.0 * op.pieces * op.group * parts * op.v_width * PARTIAL_BYTES
        combined = (parts > 1) * (known.curve.combine + partial / (machine.bandwidth * known.curve.memory))
    overhead = known.curve.latency + known.curve.row * op.pieces * op.group + ramp(seconds, known.curve.ramp) + combined
    return Roofs(busy, seconds, overhead).overlapped(known.hidden(law.overlap), law.factors.get("decode", 1.0))


def keys_of_a_tile(width: Size) -> Any:
    """Keys that a unit takes at a time."""
    wide = np.asarray(width)
    return np.select([wide <= limit for limit, _ in KEYS_BY_WIDTH], [float(keys) for _, keys in KEYS_BY_WIDTH])


def parts_of(pieces: Size, tiles: Size, units: float) -> Any:
    """Parts into which each piece of so many tiles is cut, 1 where the pieces fill the units anyhow."""
    parts = np.arange(1, MOST_PARTS + 1, dtype=np.float64)
    work, each = np.asarray(pieces, dtype=np.float64)[..., None], np.asarray(tiles, dtype=np.float64)[..., None]
    waves = work * parts / units
    useful = np.ceil(each / parts) != np.ceil(each / np.maximum(parts - 1.0, 1.0))
    allowed = (parts <= np.minimum(each, units)) & (useful | (parts == 1.0))
    filled = np.where(allowed, waves / np.ceil(waves), 0.0)
    enough = filled >= NEARLY * filled.max(axis=-1, keepdims=True)
    return np.where(work[..., 0] >= FILLED * units, 1.0, parts[np.argmax(enough, axis=-1)])


def _multiplied(law: TimingLaw, shape: HeadShape, block: Any) -> Any:
    """Seconds in which a unit multiplies a tile of keys with padded queries, by the curve of prompts."""
    curve = law.calibrations.find("attention", shape.format).curve
    peak = law.peak(shape.activation.compute)
    least = 2.0 * (shape.qk_dim + shape.v_dim) / (peak * MOST_OF_PEAK)
    row_key = np.maximum(curve.costs(shape, peak=peak, machine=law.machine).row_key, least)
    return ROWS * block * row_key * law.machine.units


def _drawn(law: TimingLaw) -> float:
    """Bytes a second that one unit draws from the cache: as in products, whose kernels were measured at it."""
    feed: float = law.calibrations.find("gemm", "bf16").curve.feed
    return feed * law.machine.clock
