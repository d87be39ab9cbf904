"""When each tensor of a graph is in memory, and how much there is at most."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulator.workloads.graphs.graph import Graph
from simulator.workloads.graphs.kinds import KINDS
from simulator.workloads.operators import Size


@dataclass(frozen=True, slots=True)
class Lifetime:
    """A buffer of so many bytes, there from node `first` to node `last` (both included) of the order."""

    name: str
    bytes: Size
    first: int
    last: int


def lifetimes(graph: Graph) -> list[Lifetime]:
    """Buffers of activations in the graph's own order; views share the buffer of what they name.

    Inputs are there from the start, outputs to the end.
    """
    owner: dict[str, str] = {}
    first: dict[str, int] = dict.fromkeys(graph.inputs, 0)
    last: dict[str, int] = {}
    for at, node in enumerate(graph.nodes):
        kind = KINDS.get(node.type)
        for name in node.read:
            last[_root(owner, name)] = at
        for name in node.written:
            source = next((n for n in node.inputs if n), None)
            if kind is not None and kind.view and not node.epilogue and source is not None:
                owner[name] = source
            else:
                first[name] = at
            last[_root(owner, name)] = at
    for name in graph.outputs:
        last[_root(owner, name)] = len(graph.nodes) - 1
    return [Lifetime(n, graph.tensors[n].bytes, at, last.get(n, at)) for n, at in first.items()]


def live_bytes(graph: Graph) -> NDArray[np.float64]:
    """Bytes of activations that are in memory while each node runs, shape (nodes, ...) with candidates behind."""
    found = lifetimes(graph)
    change = np.zeros((len(graph.nodes) + 1, *np.broadcast_shapes(*(np.shape(life.bytes) for life in found))))
    for life in found:
        change[life.first] += life.bytes
        change[life.last + 1] -= life.bytes
    return np.asarray(np.cumsum(change, axis=0)[:-1])


def peak_activation_bytes(graph: Graph) -> Size:
    """The most bytes of activations at any time."""
    peak = np.asarray(live_bytes(graph).max(axis=0, initial=0.0))
    return peak if peak.ndim else float(peak)


def _root(owner: dict[str, str], name: str) -> str:
    while name in owner:
        name = owner[name]
    return name
