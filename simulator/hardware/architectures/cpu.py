"""Processors with SIMD units and caches that were not calibrated: register tiles against traffic at each level.

A product is cut into register tiles (Goto and van de Geijn, "Anatomy of High-Performance Matrix Multiplication", 2008):
a tile of r x c loads r + c numbers for r c multiply-adds. Below a cache of S numbers, blocks of sqrt(S / 3) a side move
2 / side numbers a multiply-add (Hong and Kung, 1981), and never less than the operands once.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from simulator.hardware.architectures.work import Product, Work, missing_format, work_of
from simulator.hardware.formats import format_on
from simulator.hardware.kernels import Roofs
from simulator.workloads.dtypes import dtype
from simulator.workloads.operators import AnyOperator, Size

if TYPE_CHECKING:
    from simulator.hardware.device import Device

LEVELS = ("l1", "l2", "l3")


@dataclass(frozen=True)
class Cpu:
    """Cores (the device's `sm`) with SIMD registers of `simd_bits` and `pipes` multiply-adds of them a cycle.

    `cycle_bytes` a core come from each cache ("l1", "l2", "l3") each cycle. The library's register tile has `tile_rows`
    rows and `tile_registers` registers of columns. A library that is not `blocked` for caches, as XNNPACK, goes through
    all weights for each row of tiles, its threads in step. An `in_order` core cannot hide its loads behind arithmetic.
    All cores together reach `memory_share` of the memory's bandwidth.
    """

    simd_bits: float
    pipes: float
    cycle_bytes: dict[str, float]
    tile_rows: float = 6.0
    tile_registers: float = 2.0
    blocked: bool = True
    in_order: bool = False
    memory_share: float = 0.7

    def roofs(self, op: AnyOperator, device: Device) -> Roofs:
        """Arithmetic of the cores against the slowest level of the memory."""
        work = work_of(op)
        name = format_on(device.peak_flops, work.format) or work.format
        each = dtype(name).bytes
        core = device.peak_flops[name] / device.units["sm"]
        compute: Size = sum((self._tiled(p, work, each, core, device.units["sm"]) for p in work.products), 0.0)
        compute = compute + work.flops / device.peak_flops[name]
        return Roofs(compute, self._memory(work, each, device), 0.0, 1.0 if self.in_order else np.inf)

    def lacks(self, op: AnyOperator, device: Device) -> str | None:
        return missing_format(op, device)

    def _tile(self, product: Product, work: Work, each: float) -> tuple[Size, Size, Size]:
        """Rows and columns of the register tile, and how many there are; channels lie side by side if depth-wise."""
        alone = np.asarray(work.depthwise) > 0
        across = np.where(alone, product.count, product.n)
        rows = np.where(alone, 1.0, np.minimum(product.m, self.tile_rows))
        columns = self.tile_registers * self.simd_bits / 8.0 / each
        tiles = np.ceil(product.m / rows) * np.ceil(across / columns) * np.where(alone, 1.0, product.count)
        return rows, np.asarray(columns), tiles

    def _tiled(self, product: Product, work: Work, each: float, core: float, cores: float) -> Size:
        rows, columns, tiles = self._tile(product, work, each)
        return np.ceil(np.asarray(tiles) / cores) * 2.0 * rows * columns * product.k / core

    def _memory(self, work: Work, each: float, device: Device) -> Size:
        """Seconds of the slowest level: loads of tiles from L1, blocks from below each cache, operands from memory."""
        cycles = device.units["clock_ghz"] * 1e9 * device.units["sm"]
        cores = device.units["sm"]
        here = [level for level in LEVELS if level in device.cache]
        seconds = [self._loads(work, each) / (self.cycle_bytes["l1"] * cycles)]
        for above, level in pairwise(here):
            moved = self._below(work, each, device.cache[above], 1.0 if above == "l1" else cores)
            seconds.append(moved / (self.cycle_bytes[level] * cycles))
        last = device.cache[here[-1]]
        beside = np.where(np.asarray(work.read + work.written) > last / 2.0, work.read + work.written, 0.0)
        again = self._below(work, each, last, cores) * (np.asarray(work.bytes) > last)
        seconds.append(np.maximum(work.weights + beside, again) / (device.memory_bandwidth * self.memory_share))
        slowest: Size = seconds[0]
        for each_level in seconds[1:]:
            slowest = np.maximum(slowest, each_level)
        return slowest

    def _loads(self, work: Work, each: float) -> Size:
        """Bytes of register loads: one number a row and one a column of a tile for each step of the inner dimension.

        A product of one row loads weights of few bits as they are stored; more rows are worth panels of whole numbers.
        """
        found: Size = 0.0 if work.products else work.read + work.written
        numbers = sum((p.n * p.k * p.count for p in work.products), 0.0)
        stored = np.where(np.asarray(work.weights) > 0, work.weights / np.maximum(numbers, 1.0), each)
        for product in work.products:
            rows, columns, _ = self._tile(product, work, each)
            reach = np.minimum(columns, np.maximum(product.n, 1.0))
            column = np.where(np.asarray(product.m) > 1, each, np.minimum(stored, each))
            found = found + product.macs * np.where(
                np.asarray(work.depthwise) > 0, 2.0 * each, column / rows + each / reach
            )
        return found

    def _below(self, work: Work, each: float, cache: float, sharing: float) -> Size:
        """Bytes that come in from below a cache of so many bytes that so many cores share."""
        if self.blocked:
            blocks: Size = 2.0 * work.macs * (1.0 - work.depthwise) * each / np.sqrt(cache / (3.0 * each))
            return np.maximum(blocks, work.bytes)
        rows: Size = sum((p.m for p in work.products), 0.0)
        passes = np.maximum(np.ceil(rows / (self.tile_rows * sharing)), 1.0)
        again = np.where(np.asarray(work.weights) > cache / 2.0, passes, 1.0)
        return work.weights * again + work.read + work.written
