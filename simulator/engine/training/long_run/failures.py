"""When components of a cluster fail, and how many nodes each failure takes out."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import gamma

import numpy as np

from simulator.engine.streams import stream


@dataclass(frozen=True, slots=True)
class Component:
    """Components of one kind, `count` of them, each failing again and again on its own.

    Times between failures of one are Weibull with mean `mtbf` seconds and shape `shape` (1: exponential, below 1:
    infant mortality, above: wear-out); a failed one is replaced by a fresh one. A failure takes out `nodes`
    neighbouring nodes for `repair` seconds, none where 0: the job then only restarts. It is noticed `detection`
    seconds later.
    """

    cause: str
    count: int
    mtbf: float
    shape: float = 1.0
    nodes: int = 1
    repair: float = 0.0
    detection: float = 0.0


@dataclass(frozen=True, slots=True)
class Failure:
    """A failure at `at` seconds: its cause, the number of nodes it takes out from `node` on, and the times of its kind.

    `node` counts from 0 over the nodes of the job.
    """

    at: float
    cause: str
    node: int
    nodes: int
    repair: float
    detection: float


def failures_of(components: Sequence[Component], nodes: int, seed: int) -> Iterator[Failure]:
    """Failures of all components in the order of time, without end; `nodes` is the size of the job in nodes.

    Component `i` of `count` sits at node `i * nodes // count`. Each kind has a stream of random numbers of its own.
    """
    return heapq.merge(*(_of_kind(c, nodes, seed) for c in components), key=lambda f: f.at)


def _of_kind(component: Component, nodes: int, seed: int) -> Iterator[Failure]:
    rng = stream(seed, f"failures of {component.cause}")
    scale = component.mtbf / gamma(1.0 + 1.0 / component.shape)
    first = scale * rng.weibull(component.shape, component.count)
    heap = list(zip(first.tolist(), range(component.count), strict=True))
    heapq.heapify(heap)
    while True:
        at, number = heap[0]
        node = number * nodes // component.count
        yield Failure(at, component.cause, node, component.nodes, component.repair, component.detection)
        heapq.heapreplace(heap, (at + scale * float(rng.weibull(component.shape)), number))


def failure_rate(components: Sequence[Component]) -> float:
    """Failures a second of all components together, in the long run."""
    return float(np.sum([c.count / c.mtbf for c in components])) if components else 0.0
