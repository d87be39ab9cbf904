"""Sums over the neighbours of vertices of a graph, plain or weighed by scores of the edges, and embeddings of walks."""

from __future__ import annotations

from collections.abc import Sequence

from simulator.workloads.graphs.kinds.kind import Attributes, Kind, Operands, Work, first, streamed
from simulator.workloads.graphs.tensor import Shape, Tensor, product
from simulator.workloads.operators import Aggregation, Elementwise


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


def _trained_shapes(attributes: Attributes, operands: Operands) -> tuple[Shape, ...]:
    return (first(operands).shape,)


def _trained_work(attributes: Attributes, operands: Operands, results: Sequence[Tensor]) -> Work:
    """A step of skip-gram for each of `pairs` of words that occur near each other (Mikolov et al., arXiv:1310.4546).

    Each pair has `targets` rows, which are multiplied by the row of the first word, read, and written back: three
    products and sums a number. The first word's row is changed once a pair.
    """
    rows, pairs = first(operands), attributes["pairs"]
    numbers = pairs * (attributes["targets"] + 1.0) * rows.shape[-1]
    return ((Elementwise(numbers, 1.0, 1.0, 6.0, rows.dtype, "gather"), 1),)


NEIGHBOURS = {
    "Aggregate": Kind(_aggregate_shapes, _aggregate_work),
    "EdgeSoftmax": Kind(_score_shapes, _score_work),
    "SkipGram": Kind(_trained_shapes, _trained_work),
}
