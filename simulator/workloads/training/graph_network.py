"""Graph neural networks trained on the whole graph: products on vertices, sums over edges, boundary exchange."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from simulator.workloads.operators import Aggregation, Collective, Elementwise, Gather, Gemm
from simulator.workloads.training.layer_graph import GraphLayer, LayerGraph, Node


@dataclass(frozen=True, slots=True)
class GraphNetwork:
    """A network of `layers` layers on a graph of `vertices` and directed `edges`; vertices have `features` numbers.

    "gcn" multiplies sums over neighbours with one matrix (Kipf and Welling, arXiv:1609.02907), "sage" also a vertex's
    own vector with another (Hamilton et al., arXiv:1706.02216, mean aggregator). `boundary` is the share of all
    vertices that a partition reads from other partitions; None: a random partition's, see `random_boundary`.
    """

    kind: Literal["gcn", "sage"]
    vertices: int
    edges: int
    features: int
    hidden: int
    classes: int
    layers: int
    boundary: float | None = None
    dropout: bool = False

    def graph(self, name: str, parts: int, partitions: int) -> LayerGraph:
        """Layers of one of `parts` even parts of the vertices, as many of which are on each of `partitions` devices.

        A part reads vectors of the other parts of its own device where they lie, of the last epoch if they are not
        computed yet (historical embeddings, GNNPipe, arXiv:2308.10087, section 3), and of other devices after an
        exchange of boundary vertices before each layer's sum.
        """
        widths = [self.features, *[self.hidden] * (self.layers - 1), self.classes]
        layers = [
            GraphLayer(tuple(self._layer(into, out, parts, partitions, last=number == self.layers - 1)))
            for number, (into, out) in enumerate(pairwise(widths))
        ]
        return LayerGraph(name, tuple(layers))

    def halo(self, partitions: int) -> float:
        """Vertices of others that one of the partitions reads."""
        share = self.boundary
        if share is None:
            share = random_boundary(self.edges / self.vertices, partitions)
        return self.vertices * share if partitions > 1 else 0.0

    def _layer(self, into: int, out: int, parts: int, partitions: int, *, last: bool) -> Iterator[Node]:
        """Sums run over the narrower of a layer's two sides, as they and the product can change places."""
        vertices = self.vertices / parts
        weights = Gemm(vertices, out, into)
        if self.kind == "sage":
            yield Node("own product", weights)
        if out < into:
            yield Node("neighbours' product", weights)
            yield from self._sum(out, parts, partitions)
        else:
            yield from self._sum(into, parts, partitions)
            yield Node("neighbours' product", weights)
        if self.kind == "sage":
            yield Node("sum of products", Elementwise(vertices * out, 2.0, 1.0), kept=0.0)
        if last:
            yield Node("loss", Elementwise(vertices * out, 3.0, 1.0, 4.0), kept=vertices * out)
        else:
            mask = 0.5 if self.dropout else 0.0
            yield Node("activation", Elementwise(vertices * out, 1.0, 1.0 + mask), kept=vertices * out * (1.0 + mask))

    def _sum(self, columns: int, parts: int, partitions: int) -> Iterator[Node]:
        if partitions > 1:
            rows = self.halo(partitions) * partitions / parts
            yield Node("boundary gather", Gather(rows, columns))
            # of an all-to-all's message a rank keeps its own share
            message = rows * columns * partitions / (partitions - 1)
            yield Node("boundary exchange", Collective("all_to_all", message, partitions))
        yield Node("neighbour sum", Aggregation(self.edges / parts, self.vertices / parts, columns))


def random_boundary(degree: float, partitions: int) -> float:
    """Share of all vertices that a part of a random partition reads from others, every vertex having `degree` edges.

    A vertex lies outside with chance 1 - 1/p, and one of its edges then leads inside with 1 - (1 - 1/p)^degree.
    """
    outside = 1.0 - 1.0 / partitions
    return float(outside * (1.0 - outside**degree))
