"""Tables that are looked up by index: bags of embeddings, rows in the host's memory, grids of corners, factors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from simulator.workloads.graphs.kinds.kind import Attributes, Kind, Operands, Work, first, streamed
from simulator.workloads.graphs.tensor import Shape, Tensor, product
from simulator.workloads.operators import HostCopy

INDEX = 8.0  # bytes of a row's number
SECTOR = 32.0  # bytes of a transaction of a GPU's memory (CUDA C++ best practices guide, 10.2.1)
CORNERS = 8.0  # of a cell in three dimensions


def _bag_shapes(attributes: Attributes, operands: Operands) -> tuple[Shape, ...]:
    table, rows = first(operands), operands[1]
    assert rows is not None
    return ((*rows.shape[:-1], table.shape[-1]),)


def _bag_work(attributes: Attributes, operands: Operands, results: Sequence[Tensor]) -> Work:
    """The rows that each bag of the last dimension of indices names are read and summed into one."""
    table, rows = first(operands), operands[1]
    assert rows is not None
    read = rows.elements * (table.shape[-1] * table.dtype.bytes + INDEX)
    return streamed(operands, results, rows.shape[-1], "gather", reads=read)


def _fetch_shapes(attributes: Attributes, operands: Operands) -> tuple[Shape, ...]:
    return ((*first(operands).shape, *attributes["row"]),)


def _fetch_work(attributes: Attributes, operands: Operands, results: Sequence[Tensor]) -> Work:
    """Rows that lie in the host's memory cross the link to the device, in so many `transfers` (one by default).

    A device that reads them itself moves whole lines of `line` bytes for each row (zero-copy).
    """
    out, count = results[0], first(operands).elements
    line = attributes.get("line", 1)
    row = np.ceil(product(tuple(attributes["row"])) * out.dtype.bytes / line) * line
    return ((HostCopy(count * row, attributes.get("transfers", 1.0)), 1),)


def _hash_shapes(attributes: Attributes, operands: Operands) -> tuple[Shape, ...]:
    points, table = first(operands), operands[1]
    assert table is not None
    return ((*points.shape[:-1], table.shape[0] * table.shape[-1]),)


def _hash_work(attributes: Attributes, operands: Operands, results: Sequence[Tensor]) -> Work:
    """Features at eight corners on each level, weighed by distance (Müller et al., arXiv:2201.05989, 3).

    Operands are points (..., 3) and a table (levels, rows, features). A level is worked off for all points before the
    next, so that its table crosses memory once where points are many.
    """
    points, table = first(operands), operands[1]
    assert table is not None
    levels, _, features = table.shape
    count = product(points.shape[:-1])
    gathered = count * levels * CORNERS * features * table.dtype.bytes
    read = points.bytes + np.minimum(gathered, table.bytes)
    # a product and a sum a corner and feature, and about 40 FLOPs a level for hashes and distances
    return streamed(operands, results, 2.0 * CORNERS + 40.0 / features, "gather", reads=read)


def _factored_shapes(attributes: Attributes, operands: Operands) -> tuple[Shape, ...]:
    components = attributes["components"]
    places = operands[1]
    assert places is not None
    return ((*first(operands).shape, (places.shape[-1] - 1) // components + 1),)


def _factored_work(attributes: Attributes, operands: Operands, results: Sequence[Tensor]) -> Work:
    """Of two rows one has weights of the other's components; sums and one more number leave the kernel.

    Operands are cells, and the tables of places (cells, components * colours + 1) and directions (cells, components)
    (Garbin et al., arXiv:2103.10380, 3.2). Rows lie at random, so that whole sectors are read; both are used
    where they arrive.
    """
    cells, places, directions = first(operands), operands[1], operands[2]
    assert places is not None
    assert directions is not None
    rows = [np.ceil(t.shape[-1] * t.dtype.bytes / SECTOR) * SECTOR for t in (places, directions)]
    read = cells.elements * (sum(rows) + len(rows) * INDEX)
    return streamed(operands, results, 2.0 * attributes["components"], "gather", reads=read)


LOOKUP = {
    "EmbeddingBag": Kind(_bag_shapes, _bag_work),
    "HostGather": Kind(_fetch_shapes, _fetch_work),
    "HashEncode": Kind(_hash_shapes, _hash_work),
    "FactoredLookup": Kind(_factored_shapes, _factored_work),
}
