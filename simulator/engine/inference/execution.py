"""A graph's kernels on one device: the host issues them one by one, the device runs them one after the other."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.hardware.kernels import Roofs
from simulator.hardware.law import TimingLaw
from simulator.hardware.power import device_power
from simulator.workloads.graphs.graph import Graph
from simulator.workloads.graphs.lowering import Kernel, kernels

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Execution:
    """One forward pass of `graph`: its kernels, and the roofs of each launch.

    The host issues a kernel every `dispatch` seconds and takes `call` seconds on top; all times are in seconds.
    """

    graph: Graph
    kernels: tuple[Kernel, ...]
    roofs: tuple[Roofs, ...]
    law: TimingLaw
    dispatch: float = 0.0
    call: float = 0.0

    @cached_property
    def counts(self) -> Floats:
        """Launches of each kernel."""
        return _numbers([k.count for k in self.kernels])

    @cached_property
    def busy(self) -> Floats:
        """Seconds that the device takes for all launches of each kernel."""
        return _numbers([r.seconds() for r in self.roofs]) * self.counts

    @cached_property
    def ends(self) -> Floats:
        """When the last launch of each kernel is over: no sooner than it was issued, one at a time.

        end(i) = max(end(i - 1), issued(i)) + busy(i), unrolled to a running maximum.
        """
        issued = self.dispatch * np.cumsum(self.counts)
        first = issued - self.dispatch * np.maximum(self.counts - 1.0, 0.0)
        done = np.cumsum(self.busy)
        # launches in a row are held up by the host too, the last of them by all that were issued before
        late = np.maximum(first - (done - self.busy), issued - (done - self.busy / np.maximum(self.counts, 1.0)))
        return np.asarray(done + np.maximum(np.maximum.accumulate(late), 0.0)) if len(done) else done

    @cached_property
    def seconds(self) -> float:
        """Latency of one forward pass."""
        return self.call + (float(self.ends[-1]) if self.kernels else 0.0)

    @cached_property
    def flops(self) -> float:
        return float(sum(np.asarray(k.op.flops() * k.count) for k in self.kernels))

    @cached_property
    def bytes(self) -> float:
        """Bytes that cross the device's memory."""
        return float(sum(np.asarray(k.op.bytes() * k.count) for k in self.kernels))

    @cached_property
    def joules(self) -> float:
        """Energy of one forward pass by how busy arithmetic and memory are on average; 0 without a power figure."""
        device = self.law.device
        if not device.tdp or not self.seconds:
            return 0.0
        compute = sum(float(np.asarray(r.compute)) * n for r, n in zip(self.roofs, self.counts, strict=True))
        memory = sum(float(np.asarray(r.memory)) * n for r, n in zip(self.roofs, self.counts, strict=True))
        used = [np.asarray(min(busy / self.seconds, 1.0)) for busy in (compute, memory)]
        return float(device_power(device, used[0], used[1])) * self.seconds


def execute(graph: Graph, law: TimingLaw, *, dispatch: float = 0.0, call: float = 0.0) -> Execution:
    """Time all kernels of a graph by a device's law."""
    launches = tuple(kernels(graph))
    return Execution(graph, launches, tuple(law.roofs(k.op) for k in launches), law, dispatch, call)


def _numbers(values: list[Any]) -> Floats:
    return np.array([float(np.asarray(v)) for v in values], dtype=np.float64)
