"""Mixture-of-experts layers: two grouped products over the experts that tokens chose, with routing and permutation.

How evenly tokens fall on experts decides how many weights are read and how many tiles are partly filled. Four
laws of it: "balanced" (all equal), "random" (each token draws its experts independently), "zipf_x" (the same,
with chances that fall as rank^-x) and "power_law_x", a truncated power law of exponent x as AIConfigurator's
benchmark draws it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.hardware.kernels.machine import Machine, Roofs, joined, ramp
from simulator.workloads.operators import Size

Floats = NDArray[np.float64]
QUANTILES = (np.arange(16) + 0.5) / 16
TILE_ROWS = (16, 32, 64, 128)
TILE_COLUMNS = (64, 128, 256)


@dataclass(frozen=True, slots=True)
class ExpertsCurve:
    """Parameters of one weight format; those that `GemmCurve` has too mean the same.

    `token_bytes` is how many times a token's hidden vector moves for routing and permutation, `expert` seconds
    for each expert of the layer, `imbalance` how far the fullest rank exceeds the mean, in units of what the
    extreme-value law expects.
    """

    compute: float
    memory: float
    feed: float = 50.0
    wave: float = 0.5
    sharpness: float = 2.5
    latency: float = 1e-5
    prologue: float = 1e-6
    step: float = 1e-7
    ramp: float = 3e-6
    token_bytes: float = 3.0
    expert: float = 1e-8
    imbalance: float = 1.0
    host: float = 1e-7

    def roofs(
        self,
        tokens: Size,
        *,
        hidden: Size,
        intermediate: Size,
        top_k: Size,
        experts: Size,
        ranks: Size,
        gated: bool,
        distribution: str,
        weight: float,
        activation: float,
        peak: float,
        machine: Machine,
        busiest: float = 1.0,
    ) -> Roofs:
        """Roofs of one rank of `ranks` that share `experts` experts; `intermediate` is the rank's own width.

        With "zipf_x" the rank has `busiest` times the mean load, with the other laws what extreme values let expect.
        """
        tokens = np.asarray(tokens) + 0.0
        local = np.asarray(experts) / ranks
        load = relative_loads(distribution, tokens)
        spread = load.std(axis=-1)
        boost = 1.0 + self.imbalance * spread / np.sqrt(local) * np.sqrt(2.0 * np.log(ranks))
        if distribution.startswith("zipf_"):
            boost = np.asarray(busiest)
        pairs = tokens * top_k / ranks * np.minimum(boost, ranks)
        rows = load * (pairs / local)[..., None]
        if distribution == "random":
            used = (1.0 - (1.0 - np.asarray(top_k) / experts) ** tokens)[..., None]
            rows = rows / np.maximum(used, 1e-12)
        elif distribution.startswith("zipf_"):
            chance = np.minimum(load * (np.asarray(top_k) / experts)[..., None], 1.0)
            used = 1.0 - (1.0 - chance) ** tokens[..., None]
            rows = rows / np.maximum(used, 1e-12)
        else:
            used = np.minimum(1.0, rows)
        filled = np.maximum(rows, 1.0)
        compute: Size = 0.0
        memory: Size = 0.0
        overhead: Size = self.latency + self.expert * np.asarray(experts)
        both: Size = 0.0
        for n, k in (((2.0 if gated else 1.0) * np.asarray(intermediate), hidden), (hidden, intermediate)):
            tiled = self._grouped(filled, used, local, n, k, weight, activation, peak, machine)
            moved = local * used.mean(axis=-1) * n * k * weight + pairs * (k * activation + 2.0 * n)
            streamed = moved / (machine.bandwidth * self.memory)
            compute, memory = compute + tiled, memory + streamed
            both = both + joined(tiled, streamed, self.sharpness)
            overhead = overhead + ramp(streamed, self.ramp)
        permuted = self.token_bytes * 2.0 * hidden * (tokens + pairs) / machine.bandwidth
        gap = both - joined(compute, memory, self.sharpness)
        overhead = overhead + permuted + gap
        late = np.maximum(self.host - both - overhead + gap, 0.0) if machine.benchmark else 0.0
        busy = tokens > 0
        return Roofs(compute * busy, memory * busy, (overhead + late) * busy, self.sharpness)

    def _grouped(
        self,
        rows: Floats,
        used: Floats,
        local: Size,
        n: Size,
        k: Size,
        weight: float,
        activation: float,
        peak: float,
        machine: Machine,
    ) -> Size:
        """Seconds of one grouped product, for the best tile shape: `GemmCurve.tiled` with ragged rows."""
        units = machine.units
        best: Size = np.inf
        for height in TILE_ROWS:
            for width in TILE_COLUMNS:
                flops = 2.0 * height * width / (peak / units * self.compute)
                fed = (height * activation + width * weight) / (self.feed * machine.clock)
                each = max(flops, fed, self.step / 64)
                stacked = (used * np.ceil(rows / height)).mean(axis=-1)
                waves = local * stacked * np.ceil(np.asarray(n) / width) / units
                felt = self.wave * np.ceil(waves) + (1.0 - self.wave) * np.maximum(waves, 1.0)
                best = np.minimum(best, felt * (k * each + self.prologue))
        return best


def relative_loads(distribution: str, tokens: NDArray[np.floating[Any]]) -> Floats:
    """Loads of experts relative to their mean at 16 quantiles: shape (..., 16).

    Raises `ValueError` for an unknown distribution.
    """
    if distribution in ("balanced", "random"):
        return np.ones((*tokens.shape, len(QUANTILES)))
    if distribution.startswith("zipf_"):
        falling = QUANTILES ** -float(distribution.rsplit("_", 1)[-1])
        return np.broadcast_to(falling / falling.mean(), (*tokens.shape, len(QUANTILES)))
    if not distribution.startswith("power_law_"):
        raise ValueError(f"unknown expert load {distribution!r}")
    power = 1.0 - float(distribution.rsplit("_", 1)[-1])
    top = np.maximum(0.8 * tokens, 2.0)[..., None]
    loads = ((top**power - 1.0) * QUANTILES + 1.0) ** (1.0 / power)
    return np.asarray(loads / loads.mean(axis=-1, keepdims=True), dtype=np.float64)
