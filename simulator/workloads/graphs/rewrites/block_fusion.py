"""Block fusion: convolutions that follow one another run tile by tile in one kernel, results in between in the cache.

ConvFirst (arXiv:2404.03617); fused-layer accelerators (Alwani et al., MICRO 2016): the edges of a tile are computed by
its neighbours too, as a window reaches over them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from simulator.workloads.graphs.graph import Graph, Node
from simulator.workloads.graphs.kinds import KINDS
from simulator.workloads.graphs.rewrites.folding import Fold

LARGEST_TILE = 256


@dataclass(frozen=True, slots=True)
class FuseBlocks:
    """Join chains of at most `depth` convolutions, with what is pointwise between them.

    Tiles of all channels are square and as large as lets the two largest tensors in a row fit into `cache_kb`; a chain
    ends where they would be smaller than `least` positions wide.
    """

    cache_kb: float = 1024.0
    depth: int = 4
    least: int = 4

    def __call__(self, graph: Graph) -> Graph:
        graph = Fold()(graph)
        nodes: list[Node] = []
        chain: list[Node] = []
        for node in graph.nodes:
            if chain and self._joins(graph, chain, node):
                chain.append(node)
                continue
            nodes += self._joined(graph, chain)
            chain = [node] if node.type == "Conv" and not node.epilogue else []
            nodes += [] if chain else [node]
        return graph.with_nodes([*nodes, *self._joined(graph, chain)])

    def _joins(self, graph: Graph, chain: list[Node], node: Node) -> bool:
        last, kind = chain[-1], KINDS.get(node.type)
        readers = graph.consumers.get(last.outputs[0], ())
        if node.epilogue or len(readers) != 1 or readers[0] is not node or last.outputs[0] in graph.outputs:
            return False
        if not np.array_equal(node.repeat, chain[0].repeat):
            return False
        if node.type == "Conv":
            convs = [n for n in chain if n.type == "Conv"]
            return len(convs) < self.depth and self.tile(graph, [*chain, node]) >= self.least
        return kind is not None and kind.pointwise

    def tile(self, graph: Graph, chain: list[Node]) -> int:
        """Positions of a tile of the last result in each direction, 0 where not even one fits."""
        limit = self.cache_kb * 1024.0
        for side in range(LARGEST_TILE, 0, -1):
            if self._held(graph, chain, side) <= limit:
                return side
        return 0

    def _held(self, graph: Graph, chain: list[Node], side: int) -> float:
        """Bytes of the largest two tiles in a row: what a convolution reads and writes."""
        convs = [n for n in chain if n.type == "Conv"]
        sizes = []
        for conv, reach in zip(convs, reaches(graph, convs, side), strict=True):
            out = graph.tensors[conv.outputs[0]]
            places = float(np.prod([min(r, float(np.max(s))) for r, s in zip(reach, out.shape[2:], strict=True)]))
            sizes.append(float(np.max(out.shape[1])) * places * out.dtype.bytes)
        return max((a + b for a, b in pairwise(sizes)), default=0.0)

    def _joined(self, graph: Graph, chain: list[Node]) -> list[Node]:
        convs = [n for n in chain if n.type == "Conv"]
        if len(convs) < 2:
            return chain
        side = self.tile(graph, chain)
        shares = recomputed(graph, convs, side)
        attributes = {**chain[0].attributes, "recomputed": shares}
        return [replace(chain[0], attributes=attributes, epilogue=tuple(chain[1:]))]


def reaches(graph: Graph, convs: list[Node], side: int) -> list[list[float]]:
    """Positions of each convolution's result that a tile of the last one, `side` wide, needs, by dimension.

    A window of k at stride s needs (n - 1) s + k positions of what it reads for n of what it gives.
    """
    dims = len(graph.tensors[convs[-1].outputs[0]].shape) - 2
    needed = [[float(side)] * dims]
    for conv in reversed(convs[1:]):
        window = graph.tensors[conv.inputs[1]].shape[2:]
        strides = conv.attributes.get("strides") or [1] * dims
        last = needed[-1]
        needed.append([(n - 1) * s + float(np.max(k)) for n, s, k in zip(last, strides, window, strict=True)])
    return needed[::-1]


def recomputed(graph: Graph, convs: list[Node], side: int) -> list[float]:
    """How many times its own work each convolution does when tiles of the last result are `side` wide."""
    tiles = [np.ceil(float(np.max(s)) / side) for s in graph.tensors[convs[-1].outputs[0]].shape[2:]]
    shares = []
    for conv, reach in zip(convs, reaches(graph, convs, side), strict=True):
        whole = [float(np.max(s)) for s in graph.tensors[conv.outputs[0]].shape[2:]]
        shares.append(
            float(np.prod([max(t * min(r, w) / w, 1.0) for t, r, w in zip(tiles, reach, whole, strict=True)]))
        )
    shares[-1] = 1.0
    return shares
