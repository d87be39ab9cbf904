"""Kernels of processor cores: vector units fed through caches, work divided over the cores that a runtime uses.

What a kernel streams comes from the caches that still hold it: operands from the step before where a step's own
bytes fit, weights where everything that a pass touches fits. Channels and columns are padded to whole vectors.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulator.hardware.kernels.machine import Machine, Roofs, joined
from simulator.workloads.operators import Convolution, Size

SETS = 4  # vectors of filters that an inner kernel keeps in registers side by side
ALIGNED = 4  # channels that are blocked come in multiples of it


@dataclass(frozen=True, slots=True)
class Feed:
    """How quickly one core streams: bytes a cycle from its own cache and from the shared one, else from memory.

    One core draws the share `core` of the memory's bandwidth, all together at most `memory`. A cache holds all of
    what is streamed again and again up to `held` of its size, and nothing from twice that on.
    """

    near: float = 32.0
    far: float = 12.0
    core: float = 0.5
    memory: float = 0.85
    held: float = 0.6

    def seconds(self, moved: Size, working: Size, machine: Machine) -> Size:
        """Seconds for one core to stream bytes out of a working set of so many."""
        near = _held(working, machine.near, self.held)
        far = np.maximum(_held(working, machine.cache, self.held) - near, 0.0)
        drawn = machine.bandwidth * np.minimum(self.core, self.memory / machine.units)
        slow = (1.0 - near - far) / drawn
        each: Size = near / (self.near * machine.clock) + far / (self.far * machine.clock) + slow
        return moved * each


def _held(working: Size, cache: float, share: float) -> Size:
    if not cache:
        return np.zeros_like(np.asarray(working, dtype=np.float64))
    return np.asarray(np.clip(2.0 - np.asarray(working) / (cache * share), 0.0, 1.0))


@dataclass(frozen=True, slots=True)
class VectorCurve:
    """Kernels that stream: `compute` is the share of the vector units' peak, `latency` seconds of any call.

    `fork` is what it takes to wake the other cores; kernels that are over sooner stay on one. `sharpness` says how well
    loads overlap with arithmetic (1: not at all). The others are those of `Feed`.
    """

    compute: float = 0.5
    latency: float = 1.5e-6
    fork: float = 5e-6
    near: float = 32.0
    far: float = 12.0
    core: float = 0.5
    memory: float = 0.85
    held: float = 0.6
    sharpness: float = 2.0

    def roofs(self, flops: Size, moved: Size, *, peak: float, machine: Machine) -> Roofs:
        """Roofs of a kernel that moves so many bytes and does so many vector FLOPs."""
        feed = Feed(self.near, self.far, self.core, self.memory, self.held)
        compute = flops * machine.units / (peak * self.compute)
        overhead = self.latency * (np.asarray(moved) > 0)
        return _divided(compute, feed.seconds(moved, moved, machine), overhead, self.fork, machine, self.sharpness)


@dataclass(frozen=True, slots=True)
class PackedCurve:
    """Matrix products whose second factor is laid out in panels of vectors (Goto and van de Geijn, 2008).

    `compute` is the share of peak that large products reach, `rows` the rows at which half is lost to reading panels.
    Of several products in one call both factors are activations. The others are those of `VectorCurve`.
    """

    compute: float = 0.85
    rows: float = 1.0
    latency: float = 3e-6
    fork: float = 5e-6
    near: float = 32.0
    far: float = 12.0
    core: float = 0.5
    memory: float = 0.85
    held: float = 0.6
    sharpness: float = 2.0

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
        """Roofs of `count` products y[m, n] = x[m, k] w[k, n]; `weight` and `activation` are bytes an element."""
        feed = Feed(self.near, self.far, self.core, self.memory, self.held)
        each = peak / machine.units * self.compute
        compute = 2.0 * count * m * whole(n, lanes(peak, machine)) * k / each * (1.0 + self.rows / np.maximum(m, 1.0))
        factor, rest = count * n * k * weight, count * m * (n + k) * activation
        if moved is not None:
            rest = np.maximum(moved - factor, 0.0)
        touched = np.where(np.asarray(count) > 1, factor + rest, np.maximum(machine.footprint, factor))
        memory = feed.seconds(factor, touched, machine)
        memory = memory + feed.seconds(rest, rest, machine)
        return _divided(compute, memory, np.asarray(self.latency), self.fork, machine, self.sharpness)


@dataclass(frozen=True, slots=True)
class BlockedCurve:
    """Direct convolutions of images whose channels are laid out in blocks of one vector.

    `compute` is the share of peak; `sets` and `width` say what is lost on few vectors of filters side by side and on
    short rows of pixels (multiples of the work of a vector and of a pixel). Depth-wise windows reach the share
    `depthwise`, where each result costs as much as `results` products besides, and less where windows hang over short
    rows (`edges`). Groups of channels that fill no blocks are laid out as patches one after the other: `group` seconds
    each, and `patch` cycles a number. Layout and loops: Georganas et al., arXiv:1808.05567.
    """

    compute: float = 0.9
    sets: float = 0.3
    width: float = 1.0
    depthwise: float = 0.3
    edges: float = 1.0
    results: float = 10.0
    group: float = 1e-6
    patch: float = 0.6
    latency: float = 3e-6
    fork: float = 5e-6
    near: float = 32.0
    far: float = 12.0
    core: float = 0.5
    memory: float = 0.85
    held: float = 0.6
    sharpness: float = 2.0

    def roofs(self, op: Convolution, *, peak: float, machine: Machine) -> Roofs:
        feed = Feed(self.near, self.far, self.core, self.memory, self.held)
        _, filters, inner = op.product
        weights = filters * inner * op.groups * op.weight.bytes
        images = op.bytes() - weights
        touched = np.maximum(machine.footprint, weights)
        memory = feed.seconds(weights, touched, machine) + feed.seconds(images, images, machine)
        alone = np.asarray(inner / op.window * filters) <= 1.0
        compute = np.where(alone, self._alone(op, peak, machine), self._blocks(op, peak, machine))
        compute = np.where(_laid_out(op, lanes(peak, machine)), self._patches(op, peak, machine), compute)
        return _divided(compute, memory, np.asarray(self.latency), self.fork, machine, self.sharpness)

    def _blocks(self, op: Convolution, peak: float, machine: Machine) -> Size:
        """One core's seconds of sums over channels."""
        vector = lanes(peak, machine)
        rows, filters, _ = op.product
        channels = np.asarray(op.channels / op.groups, dtype=np.float64)
        thin = channels < vector  # few channels are read as they are
        channels = np.where(thin, channels, whole(channels, vector))
        blocks = np.ceil(np.asarray(filters) / vector)
        work = 2.0 * rows * op.groups * (blocks + self.sets * np.ceil(blocks / SETS)) * vector * channels * op.window
        lost = 1.0 + self.width / np.sqrt(op.positions)
        return work * lost * machine.units / (peak * self.compute)

    def _alone(self, op: Convolution, peak: float, machine: Machine) -> Size:
        """One core's seconds of channels convolved each by itself."""
        taps = op.window + self.results
        work = 2.0 * op.batch * op.positions * whole(op.channels, lanes(peak, machine)) * taps
        over = 1.0 + self.edges * (np.sqrt(op.window) - 1.0) / np.sqrt(op.positions)
        return work * over * machine.units / (peak * self.depthwise)

    def _patches(self, op: Convolution, peak: float, machine: Machine) -> Size:
        """One core's seconds of groups whose patches are written out and multiplied by their filters."""
        rows, filters, inner = op.product
        each = self.group + rows * inner * self.patch / machine.clock
        return op.groups * (each + 2.0 * rows * filters * inner * machine.units / (peak * self.compute))


def _laid_out(op: Convolution, vector: float) -> NDArray[np.bool_]:
    """Whether several groups of channels fit into no blocks of a vector (onnxruntime, nchwc_transformer.cc)."""
    channels, filters = np.asarray(op.channels / op.groups), np.asarray(op.filters / op.groups)
    alone = (channels * filters == 1.0) & (np.asarray(op.filters) % ALIGNED == 0)
    filled = (channels % vector == 0) & (filters % vector == 0)
    return np.asarray((np.asarray(op.groups) > 1) & ~alone & ~filled)


def lanes(peak: float, machine: Machine) -> float:
    """Numbers in a vector of a core with two units of fused multiply-adds."""
    return max(1.0, round(peak / (4.0 * machine.cycles)))


def whole(size: Size, vector: float) -> Size:
    """A size padded to whole vectors."""
    return np.ceil(np.asarray(size) / vector) * vector


def _divided(compute: Size, memory: Size, overhead: Size, fork: float, machine: Machine, sharpness: float) -> Roofs:
    """One core's seconds of work, divided over all where that pays."""
    alone = joined(compute, memory, sharpness)
    together = alone / machine.units + fork * (machine.units > 1.0)
    share = np.where(alone > 0, np.minimum(alone, together) / np.maximum(alone, 1e-30), 1.0)
    return Roofs(compute * share, memory * share, overhead, sharpness)
