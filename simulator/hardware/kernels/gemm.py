"""Matrix products: output tiles dealt to units in waves, against the traffic of their operands.

A library picks among tile shapes and splits of the inner dimension; so does the law, which takes the quickest.
Tile and wave quantisation: NVIDIA, "Matrix Multiplication Background User's Guide"; split-K and stream-K:
Osama et al., arXiv:2301.03598.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simulator.hardware.kernels.machine import Machine, Roofs, ramp
from simulator.workloads.operators import Size

TILE_ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
TILE_COLUMNS = (32, 64, 128, 256)
SPLITS = (1, 2, 4, 8, 16)
INNER = 64  # inner elements of one main-loop step
MEASURED_ROWS = 1 << 13  # no curve has seen products of more rows: what a row costs on top is carried no further
THROTTLE_SECONDS = 2e-4  # arithmetic has to last about so long before clocks fall


@dataclass(frozen=True, slots=True)
class GemmCurve:
    """Parameters of one arithmetic format.

    Shares: `compute` of peak and `memory` of bandwidth reached by large products. `feed` is the bytes that one unit
    draws from the cache each cycle, `rows` the least rows of a tile (tensor cores take 16, vector units one).
    `tile_loss` is the loss of small tiles (rows or columns at which half is lost), `wave` how much of the last wave's
    idle units is felt (1: all, 0: hidden by stream-K), `throttle` the slowdown of long compute-bound products,
    `sharpness` how well both roofs overlap, `cache_gain` and `cache_share` what a warm cache does. Seconds: `latency`
    of any call, `prologue` of a wave, `step` the least of one main-loop step, `split` of a split inner dimension,
    `ramp` of the memory system, `quantise_row` a row that is quantised first, `host` the least that a call takes when a
    Python host launches it. `reduction` and `quantise` are multiples of the bytes that partial sums and quantised
    inputs move.
    """

    compute: float
    memory: float
    feed: float = 50.0
    rows: int = 16
    tile_loss: float = 0.01
    wave: float = 0.5
    throttle: float = 0.001
    sharpness: float = 3.0
    cache_gain: float = 0.001
    cache_share: float = 0.5
    latency: float = 2e-6
    prologue: float = 1e-6
    step: float = 5e-8
    split: float = 2e-6
    ramp: float = 2e-6
    reduction: float = 1.0
    quantise: float = 0.001
    quantise_row: float = 1e-11
    host: float = 1e-7

    def roofs(
        self,
        m: Size,
        n: Size,
        k: Size,
        *,
        weight: float,
        activation: float,
        peak: float,
        machine: Machine,
        count: Size = 1.0,
        moved: Size | None = None,
    ) -> Roofs:
        """Roofs of `count` products y[m, n] = x[m, k] w[k, n] in one call.

        `weight` and `activation` are bytes an element; results have two at least. `moved` gives the bytes that
        cross the memory where they are not those of three whole matrices (a convolution's patches overlap); such
        inputs are not quantised on their way in.
        """
        whole = moved is None
        if moved is None:
            moved = count * (n * k * weight + m * k * activation + max(activation, 2.0) * m * n)
        memory = machine.traffic_seconds(moved, self.memory, self.cache_gain, self.cache_share)
        compute = self.tiled(m, n, k, weight=weight, activation=activation, peak=peak, machine=machine, count=count)
        compute = compute * (1.0 + self.throttle * compute / (compute + THROTTLE_SECONDS))
        overhead = self.latency + ramp(memory, self.ramp)
        if whole:
            rows = np.minimum(m, MEASURED_ROWS)
            overhead = overhead + np.maximum(self.quantise * 3.0 * m * k / machine.bandwidth, self.quantise_row * rows)
        found = Roofs(compute, memory, overhead, self.sharpness)
        late = np.maximum(self.host - found.seconds(), 0.0) if machine.benchmark else 0.0
        return Roofs(compute, memory, overhead + late, self.sharpness)

    def tiled(
        self,
        m: Size,
        n: Size,
        k: Size,
        *,
        weight: float,
        activation: float,
        peak: float,
        machine: Machine,
        count: Size = 1.0,
        splits: tuple[int, ...] = SPLITS,
    ) -> Size:
        """Seconds of `count` equal products dealt to the units as tiles, for the best tile shape and split."""
        units, bandwidth = machine.units, machine.bandwidth
        best: Size = np.inf
        for rows in (r for r in TILE_ROWS if r >= self.rows):
            for columns in TILE_COLUMNS:
                share = self.compute / (1.0 + self.tile_loss * (1.0 / rows + 1.0 / columns))
                flops = 2.0 * rows * columns / (peak / units * share)
                fed = (rows * activation + columns * weight) / (self.feed * machine.clock)
                each = max(flops, fed, self.step / INNER)
                tiles = count * np.ceil(np.asarray(m) / rows) * np.ceil(np.asarray(n) / columns)
                for split in splits:
                    waves = tiles * split / units
                    felt = self.wave * np.ceil(waves) + (1.0 - self.wave) * np.maximum(waves, 1.0)
                    inner = np.ceil(np.asarray(k) / split / INNER) * INNER
                    seconds = felt * (inner * each + self.prologue)
                    if split > 1:
                        seconds = seconds + self.split + self.reduction * 8.0 * split * m * n / bandwidth
                    best = np.minimum(best, seconds)
        return best
