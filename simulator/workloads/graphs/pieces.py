"""Cut a graph into pieces that run one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np

from simulator.workloads.graphs.counting import macs
from simulator.workloads.graphs.graph import Graph
from simulator.workloads.graphs.lowering import node_kernels


def cut(graph: Graph, ends: Sequence[int]) -> list[Graph]:
    """Pieces that end before the nodes at these places of the order, the rest last.

    Inputs of a piece are what it reads of earlier pieces and of the graph's inputs; outputs what later ones read.
    """
    borders = [0, *ends, len(graph.nodes)]
    pieces = [graph.nodes[a:b] for a, b in pairwise(borders)]
    found = []
    for at, nodes in enumerate(pieces):
        written = {name for node in nodes for name in node.written}
        read = dict.fromkeys(n for node in nodes for n in node.read if n not in written)
        inputs = tuple(n for n in read if not graph.tensors[n].weight)
        later = {n for piece in pieces[at + 1 :] for node in piece for n in node.read}
        outputs = tuple(n for n in dict.fromkeys(w for node in nodes for w in node.written)
                        if n in later or n in graph.outputs)  # fmt: skip
        found.append(replace(graph, name=f"{graph.name}.{at}", nodes=nodes, inputs=inputs, outputs=outputs))
    return found


def balanced(graph: Graph, pieces: int) -> list[Graph]:
    """So many pieces of about equal multiply-adds."""
    work = [sum(float(np.asarray(macs(k.op) * k.count)) for k in node_kernels(graph, node)) for node in graph.nodes]
    done = np.cumsum(work)
    ends = [int(np.searchsorted(done, done[-1] * i / pieces)) + 1 for i in range(1, pieces)]
    return cut(graph, ends)


def passed_bytes(graph: Graph, pieces: Sequence[Graph]) -> list[float]:
    """Bytes that each piece hands on to later ones."""
    found = []
    for at, piece in enumerate(pieces):
        later = {name for after in pieces[at + 1 :] for name in after.inputs}
        found.append(sum(float(np.asarray(graph.tensors[n].bytes)) for n in piece.outputs if n in later))
    return found
