"""What every kernel law needs to know of a device, and the roofs that it answers with."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulator.workloads.operators import Size

# Transfers reach full bandwidth only beyond this many seconds of traffic; below it a ramp is paid in part.
RAMP_SECONDS = 2e-6


@dataclass(frozen=True, slots=True)
class Machine:
    """Datasheet numbers of one device: bytes a second, parallel units (SMs, CUs, cores), cache bytes, clock in Hz.

    `benchmark` says that a kernel runs again and again on the same data, launched by the host: what fits in the
    cache stays there, and the host may be late. In a model's forward pass weights and KV cache come from memory
    each time and the launches are replayed from a graph. Cores have caches of their own of `near` bytes each beside the
    shared one, and meet weights in them where all that a pass touches, `footprint` bytes, fits.
    """

    bandwidth: float
    units: float
    cache: float
    clock: float = 1.5e9
    benchmark: bool = False
    near: float = 0.0
    footprint: Size = 0.0

    @property
    def cycles(self) -> float:
        """Unit cycles a second of the whole device."""
        return self.units * self.clock

    def traffic_seconds(self, moved: Size, share: float, cache_gain: float, cache_share: float) -> Size:
        """Seconds to move bytes at a share of bandwidth, `1 + cache_gain` times as fast where the cache holds them.

        The part held falls from all, at `cache_share` of the cache, to nothing at twice that.
        """
        seconds = moved / (self.bandwidth * share)
        if not self.benchmark or not self.cache:
            return seconds
        held = np.clip(2.0 - moved / (self.cache * cache_share), 0.0, 1.0)
        return seconds * (1.0 - held * (1.0 - 1.0 / (1.0 + cache_gain)))


@dataclass(frozen=True, slots=True)
class Roofs:
    """Seconds under each bound, and the overhead that comes on top.

    The bounds overlap imperfectly: together they take their p-norm with p = `sharpness` (infinity: the larger).
    """

    compute: Size
    memory: Size
    overhead: Size
    sharpness: float = np.inf

    def seconds(self) -> Size:
        """Seconds in all."""
        return joined(self.compute, self.memory, self.sharpness) + self.overhead

    def overlapped(self, share: float, factor: float = 1.0) -> Roofs:
        """The same with a share of the overhead hidden behind the kernel before it, and all `factor` times as long."""
        if not share and factor == 1.0:
            return self
        hidden = self.overhead * ((1.0 - share) * factor)
        return Roofs(self.compute * factor, self.memory * factor, hidden, self.sharpness)

    def bound(self) -> str:
        """ "compute", "memory" or "launch", whichever is largest (for single numbers)."""
        named = {"compute": self.compute, "memory": self.memory, "launch": self.overhead}
        return max(named, key=lambda name: float(np.max(named[name])))


def quicker(a: Roofs, b: Roofs, allowed: NDArray[np.bool_]) -> Roofs:
    """The second where it is allowed and takes less time, else the first."""
    second = allowed & (np.asarray(b.seconds()) < np.asarray(a.seconds()))
    if not second.any():
        return a
    if second.all():
        return b
    compute, memory = np.where(second, b.compute, a.compute), np.where(second, b.memory, a.memory)
    # each keeps its own time: where roofs overlap imperfectly, what that costs counts as overhead
    return Roofs(compute, memory, np.where(second, b.seconds(), a.seconds()) - np.maximum(compute, memory))


def joined(a: Size, b: Size, p: float) -> Size:
    """The p-norm of two times: between the larger (p infinite) and the sum (p = 1)."""
    if p == np.inf:
        return np.maximum(a, b)
    large = np.maximum(np.maximum(a, b), 1e-30)
    return large * ((np.asarray(a) / large) ** p + (np.asarray(b) / large) ** p) ** (1.0 / p)


def joined4(a: Size, b: Size) -> Size:
    """The 4-norm by products and square roots alone, which round the same for a number and for an array."""
    a2, b2 = a * a, b * b
    return np.sqrt(np.sqrt(a2 * a2 + b2 * b2))


def ramp(seconds: Size, height: float) -> Size:
    """What a transfer of so many seconds at full speed pays on top for getting up to speed, `height` at most."""
    return height * seconds / (seconds + RAMP_SECONDS)
