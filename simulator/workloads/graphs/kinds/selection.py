"""Operators that choose, sort, scatter or make numbers: their work is the traffic of what they touch.

Where the number of results depends on the data (NonZero, Compress, Unique, NonMaxSuppression), as many are taken to be
there as can be.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from simulator.workloads.graphs.kinds.kind import Attributes, Kind, Operands, Work, first, same_shape, streamed
from simulator.workloads.graphs.tensor import Shape, Tensor, product
from simulator.workloads.operators import Gather, Size


def _second(operands: Operands) -> Tensor:
    found = operands[1]
    assert found is not None
    return found


def _given(attributes: Attributes, operands: Operands) -> tuple[Shape, ...]:
    """The shape that the node states."""
    return (tuple(attributes["shape"]),)


def _one_pass(attributes: Attributes, operands: Operands, results: Sequence[Tensor]) -> Work:
    return streamed(operands, results, 1.0)


def _made(attributes: Attributes, operands: Operands, results: Sequence[Tensor]) -> Work:
    """Numbers that are written without reading any."""
    return streamed((), results, 1.0)


def _top_shapes(attributes: Attributes, operands: Operands) -> tuple[Shape, ...]:
    shape = first(operands).shape
    axis = attributes.get("axis", -1) % len(shape)
    best = (*shape[:axis], attributes["k"], *shape[axis + 1 :])
    return best, best


def _top_work(attributes: Attributes, operands: Operands, results: Sequence[Tensor]) -> Work:
    """A heap of k: each number read once and compared log2(k) times."""
    read, found = first(operands), results[0]
    axis = attributes.get("axis", -1) % len(read.shape)
    compared = math.log2(max(float(found.shape[axis]), 2.0))
    return streamed((read,), results, compared * read.elements / found.elements, "reduction")


def _one_hot_shapes(attributes: Attributes, operands: Operands) -> tuple[Shape, ...]:
    shape = list(first(operands).shape)
    shape.insert(attributes.get("axis", -1) % (len(shape) + 1), attributes["depth"])
    return (tuple(shape),)


def _all_places(attributes: Attributes, operands: Operands) -> tuple[Shape, ...]:
    """Index of every element: one row a dimension."""
    read = first(operands)
    return ((len(read.shape), read.elements),)


def _suppression_shapes(attributes: Attributes, operands: Operands) -> tuple[Shape, ...]:
    """At most so many boxes a class and an image: three indices each (ONNX, NonMaxSuppression)."""
    boxes, scores = first(operands).shape, _second(operands).shape
    most = min(int(attributes.get("max_output_boxes_per_class", boxes[1])), int(boxes[1]))
    return ((scores[0] * scores[1] * most, 3),)


def _suppression_work(attributes: Attributes, operands: Operands, results: Sequence[Tensor]) -> Work:
    """Scores are sorted; each box that is kept is compared with all others of its class, some 12 FLOPs a pair."""
    kept, boxes = results[0].shape[0], first(operands).shape[1]
    return streamed(operands, results, 12.0 * kept * boxes / results[0].elements, "reduction")


def _gathered_elements(attributes: Attributes, operands: Operands) -> tuple[Shape, ...]:
    return (_second(operands).shape,)


def _gathered_slices(attributes: Attributes, operands: Operands) -> tuple[Shape, ...]:
    """One slice for each tuple of indices, whose length is their last dimension (ONNX, GatherND)."""
    data, indices, skipped = first(operands).shape, _second(operands).shape, attributes.get("batch_dims", 0)
    return ((*indices[:-1], *data[skipped + int(indices[-1]) :]),)


def _gather_work(attributes: Attributes, operands: Operands, results: Sequence[Tensor]) -> Work:
    """What is picked is read and written once, and the indices read."""
    out, indices = results[0], _second(operands)
    return streamed(operands, results, 0.0, "gather", reads=out.bytes + indices.bytes)


def _slices_work(attributes: Attributes, operands: Operands, results: Sequence[Tensor]) -> Work:
    out, indices = results[0], _second(operands)
    rows: Size = product(indices.shape[:-1])
    return ((Gather(rows, float(out.elements / rows), out.dtype, "gather"), 1),)


def _scatter_work(attributes: Attributes, operands: Operands, results: Sequence[Tensor]) -> Work:
    """A copy of the data with the updates written over it."""
    return streamed(operands, results, 0.0, "copy")


def _compressed(attributes: Attributes, operands: Operands) -> tuple[Shape, ...]:
    read = first(operands)
    return (read.shape,) if "axis" in attributes else ((read.elements,),)


SELECTION = {
    "TopK": Kind(_top_shapes, _top_work),
    "OneHot": Kind(_one_hot_shapes, _one_pass),
    "NonZero": Kind(_all_places, _one_pass),
    "NonMaxSuppression": Kind(_suppression_shapes, _suppression_work),
    "GatherElements": Kind(_gathered_elements, _gather_work),
    "GatherND": Kind(_gathered_slices, _slices_work),
    "ScatterND": Kind(same_shape, _scatter_work),
    "ScatterElements": Kind(same_shape, _scatter_work),
    "Scatter": Kind(same_shape, _scatter_work),
    "TensorScatter": Kind(same_shape, _scatter_work),
    "Compress": Kind(_compressed, _one_pass),
    "Unique": Kind(_compressed, _one_pass),
    "CumSum": Kind(same_shape, _one_pass),
    "CumProd": Kind(same_shape, _one_pass),
    "Trilu": Kind(same_shape, _one_pass),
    "ReverseSequence": Kind(same_shape, _one_pass),
    "Hardmax": Kind(same_shape, _one_pass),
    "EyeLike": Kind(same_shape, _made),
    "RandomNormalLike": Kind(same_shape, _made),
    "RandomUniformLike": Kind(same_shape, _made),
    "Bernoulli": Kind(same_shape, _one_pass),
    **{name: Kind(_given, _made) for name in ("Range", "ConstantOfShape", "RandomNormal", "RandomUniform")},
    **{name: Kind(_given, _one_pass) for name in ("Shape", "Size", "Multinomial")},
}
