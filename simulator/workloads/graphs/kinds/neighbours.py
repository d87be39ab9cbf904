"""Sums over the neighbours of vertices of a graph, plain or weighed by scores of the edges."""

from __future__ import annotations

from collections.abc import Sequence

from simulator.workloads.graphs.kinds.kind import Attributes, Kind, Operands, Work, first, streamed
from simulator.workloads.graphs.tensor import Shape, Tensor, product
from simulator.workloads.operators import Aggregation


def _aggregate_shapes(attributes: Attributes, operands: Operands) -> tuple[Shape, ...]:
    return ((attributes["vertices"], *first(operands).shape[1:]),)


def _aggregate_work(attributes: Attributes, operands: Operands, results: Sequence[Tensor]) -> Work:
    """A sparse product: each of `vertices` sums the rows (vertices, ...) at the other ends of its `edges`."""
    rows = first(operands)
    width = product(rows.shape[1:])
    return ((Aggregation(attributes["edges"], attributes["vertices"], width, rows.dtype), 1),)


def _score_shapes(attributes: Attributes, operands: Operands) -> tuple[Shape, ...]:
    return ((attributes["edges"], first(operands).shape[1]),)


def _score_work(attributes: Attributes, operands: Operands, results: Sequence[Tensor]) -> Work:
    """Scores of both ends of each edge are gathered, added and put through a softmax over each vertex's edges.

    Operands are the scores (vertices, heads) of sources and of targets (Veličković et al., arXiv:1710.10903, 2.1).
    """
    return streamed(operands, results, 16.0, "gather", reads=2.0 * results[0].bytes + 8.0 * attributes["edges"])


NEIGHBOURS = {
    "Aggregate": Kind(_aggregate_shapes, _aggregate_work),
    "EdgeSoftmax": Kind(_score_shapes, _score_work),
}
