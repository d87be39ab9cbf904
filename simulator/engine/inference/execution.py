"""A graph's kernels on one device: the host issues them one by one, the device runs them one after the other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.engine.inference.spending import joules, spent
from simulator.hardware.kernels import Roofs
from simulator.hardware.law import TimingLaw
from simulator.workloads.graphs.graph import Graph
from simulator.workloads.graphs.lowering import Kernel, kernels
from simulator.workloads.graphs.memory.residency import held_bytes
from simulator.workloads.operators import Aggregation, AnyOperator, Elementwise, Fused, Gather, LowRank

Floats = NDArray[np.float64]
Streamed = Elementwise | Gather | Aggregation | LowRank


@dataclass(frozen=True)
class Execution:
    """One forward pass of `graph`: its kernels, and the roofs of each launch.

    The host issues a kernel every `dispatch` seconds and takes `call` seconds on top; all times are in seconds. The
    weights of each kernel are there when they are `loaded`; None: from the start.
    """

    graph: Graph
    kernels: tuple[Kernel, ...]
    roofs: tuple[Roofs, ...]
    law: TimingLaw
    dispatch: float = 0.0
    call: float = 0.0
    loaded: Floats | None = None

    @cached_property
    def counts(self) -> Floats:
        """Launches of each kernel."""
        return _numbers([k.count for k in self.kernels])

    @cached_property
    def busy(self) -> Floats:
        """Seconds that the device takes for all launches of each kernel."""
        return _numbers([r.seconds() for r in self.roofs]) * self.counts

    @cached_property
    def issued(self) -> Floats:
        """When the first launch of each kernel is issued."""
        return self.dispatch * (np.cumsum(self.counts) - np.maximum(self.counts - 1.0, 0.0))

    @cached_property
    def ends(self) -> Floats:
        """When the last launch of each kernel is over."""
        return ends(self.busy, self.counts, self.dispatch, self.loaded)

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
        """Energy of one forward pass; 0 without a figure for it.

        By operation where a device publishes energies, else by how busy arithmetic and memory are on average.
        """
        parts = [spent(k.op, self.law).times(k.count) for k in self.kernels]
        return float(joules(parts, self.law, np.asarray(self.seconds)))

    @cached_property
    def at_peak(self) -> float:
        """Seconds that the arithmetic of all products takes at the full peak of its formats, where it is computed."""
        products = [k for k in self.kernels if not isinstance(_leaf(k.op), Streamed)]
        return float(sum(np.asarray(spent(_leaf(k.op), self.law).compute * k.count) for k in products))


def ends(busy: Floats, counts: Floats, dispatch: float, loaded: Floats | None = None) -> Floats:
    """When the last launch of each kernel is over: no sooner than it was issued and `loaded`, one at a time.

    Shapes (kernels, ...) of seconds for all launches of a kernel and of their number; the host issues one every
    `dispatch` seconds. end(i) = max(end(i - 1), issued(i), loaded(i)) + busy(i), unrolled to a running maximum.
    """
    done = np.cumsum(busy, axis=0)
    if (not dispatch and loaded is None) or not len(done):
        return np.asarray(done)
    issued = dispatch * np.cumsum(counts, axis=0)
    first = issued - dispatch * np.maximum(counts - 1.0, 0.0)
    # launches in a row are held up by the host too, the last of them by all that were issued before
    late = np.maximum(first - (done - busy), issued - (done - busy / np.maximum(counts, 1.0)))
    # what does not run waits for nothing
    late = np.where(counts > 0.0, late, 0.0)
    if loaded is not None:
        late = np.maximum(late, loaded - (done - busy))
    return np.asarray(done + np.maximum(np.maximum.accumulate(late, axis=0), 0.0))


def execute(graph: Graph, law: TimingLaw, *, dispatch: float = 0.0, call: float = 0.0) -> Execution:
    """Time all kernels of a graph by a device's law."""
    launches = tuple(kernels(graph))
    roofs = law.all_roofs([(k.op, k.count) for k in launches])
    return Execution(graph, launches, tuple(_from_cache(graph, launches, roofs, law)), law, dispatch, call)


def _from_cache(graph: Graph, launches: Sequence[Kernel], roofs: Sequence[Roofs], law: TimingLaw) -> Iterator[Roofs]:
    """The roofs with what each node's first kernel reads from the last cache at that cache's speed."""
    cache, gain = law.cache
    if not cache:
        yield from roofs
        return
    held = dict(zip((node.name for node in graph.nodes), held_bytes(graph, cache), strict=True))
    for kernel, found in zip(launches, roofs, strict=True):
        share = min(held.pop(kernel.node, 0.0) / max(float(np.asarray(kernel.op.bytes())), 1.0), 1.0)
        yield replace(found, memory=found.memory * (1.0 - share * (1.0 - 1.0 / (1.0 + gain))))


def _leaf(op: AnyOperator) -> AnyOperator:
    """The kernel's own operator, without what is joined to it."""
    return _leaf(op.main) if isinstance(op, Fused) else op


def _numbers(values: list[Any]) -> Floats:
    return np.array([float(np.asarray(v)) for v in values], dtype=np.float64)
