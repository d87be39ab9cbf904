"""Embeddings of a graph's vertices: projections by sparse products, or random walks read as sentences.

Chen et al., arXiv:1908.11512 (FastRP); Perozzi et al., arXiv:1403.6652 (DeepWalk).
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from simulator.workloads.dtypes import DType
from simulator.workloads.graphs.builder import Builder
from simulator.workloads.graphs.graph import Graph
from simulator.workloads.graphs.tensor import FP32
from simulator.workloads.operators import Size


def build(
    batch: Size = 1,
    format: DType = FP32,
    *,
    method: Literal["projection", "walks"],
    vertices: int,
    edges: int,
    width: int = 512,
    powers: int = 4,
    walks: int = 80,
    length: int = 40,
    window: int = 10,
) -> Graph:
    """Rows of `width` numbers for all `vertices` of an undirected graph, for each of `batch` such graphs.

    "projection": a very sparse random matrix goes through the adjacency matrix `powers` times, and what each time gives
    is added up with weights. "walks": from each vertex `walks` of `length` vertices, each of which is trained against
    those up to a random distance of at most `window` by hierarchical softmax, whose trees are log2(vertices) deep.
    """
    g = Builder("vertex-embedding", format)
    x = g.input(batch * vertices, width, name="projected" if method == "projection" else "vectors")
    if method == "walks":
        places = batch * vertices * walks * length
        steps = g.add_node("Gather", [g.weight(2 * edges), g.input(places, name="walks")], axis=0)
        # of both sides (window + 1) / 2 vertices each on average, as word2vec draws the distance
        return g.build(g.add_node("SkipGram", [x], pairs=places * (window + 1.0), targets=np.log2(vertices)), steps)
    sums = []
    for _ in range(powers):
        x = g.add_node("Aggregate", [x], edges=batch * 2 * edges, vertices=batch * vertices)
        sums.append(x)
    return g.build(g.add(*sums) if powers > 1 else x)
