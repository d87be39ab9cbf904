"""Weights that come over a channel (from Flash, a disk, the host) while earlier kernels run."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Channel:
    """One transfer at a time, `bandwidth` bytes a second after `latency` seconds.

    Weights of `ahead` layers are loaded before their turn; 0: each when it is needed. Their room is that of the layers
    before them, which must be through.
    """

    bandwidth: float
    latency: float = 0.0
    ahead: int = 1

    def seconds(self, size: float) -> float:
        """Time of one transfer; nothing to load takes none."""
        return self.latency + size / self.bandwidth if size else 0.0


def loaded_at(sizes: Floats, busy: Floats, issued: Floats, channel: Channel) -> Floats:
    """When the weights of each kernel are there, in seconds; `sizes` are the bytes that it waits for.

    Kernels run in order, each `busy` seconds and not before it is `issued`. The transfer for the n-th kernel that has
    weights to load begins when the one before it is over and the kernel `ahead` + 1 such places earlier is through.
    """
    there = np.zeros(len(sizes))
    ends: list[float] = []
    free = done = 0.0
    for at, size in enumerate(sizes):
        if size:
            earlier = len(ends) - 1 - channel.ahead
            # without loading ahead, a transfer waits for whatever runs before its kernel
            room = done if channel.ahead == 0 else ends[earlier] if earlier >= 0 else 0.0
            free = max(free, room) + channel.seconds(float(size))
            there[at] = free
        done = max(done, float(issued[at]), float(there[at])) + float(busy[at])
        if size:
            ends.append(done)
    return there


def held_bytes(sizes: Floats, ahead: int) -> float:
    """The most bytes of loaded weights that are there at once: those of a kernel and of the `ahead` next ones."""
    loads = [float(size) for size in sizes if size]
    return max((sum(loads[i : i + ahead + 1]) for i in range(len(loads))), default=0.0)
