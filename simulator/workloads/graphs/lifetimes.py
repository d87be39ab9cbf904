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
    buffer = buffer_names(graph)
    first: dict[str, int] = dict.fromkeys(graph.inputs, 0)
    last: dict[str, int] = {}
    for at, node in enumerate(graph.nodes):
        last.update((buffer[name], at) for name in (*node.read, *node.written))
        first.update((name, at) for name in node.written if buffer[name] == name)
    last.update((buffer[name], len(graph.nodes) - 1) for name in graph.outputs)
    return [Lifetime(n, graph.tensors[n].bytes, at, last.get(n, at)) for n, at in first.items()]


def buffer_names(graph: Graph) -> dict[str, str]:
    """The buffer that each tensor is in: its own name, or what a view names otherwise."""
    found = {name: name for name in (*graph.inputs, *(n for node in graph.nodes for n in node.read))}
    for node in graph.nodes:
        kind = KINDS.get(node.type)
        source = next((n for n in node.inputs if n), None)
        view = kind is not None and kind.view and not node.epilogue and source is not None
        found.update((name, found[source] if view and source else name) for name in node.written)
    return found


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


def touched_bytes(graph: Graph) -> float:
    """Bytes that one pass reads and writes somewhere: weights, and room that activations share one after the other.

    Of tables that rows are picked out of nothing is counted.
    """
    tables = {node.inputs[0] for node in graph.nodes if node.type == "Gather"}
    weights = sum((t.bytes for t in graph.weights if t.name not in tables), 0.0)
    return float(np.asarray(weights + peak_activation_bytes(graph)))
