"""Operators of training steps, which state their results and their work: gradients, masks, sums, updates, loss."""

from __future__ import annotations

from collections.abc import Sequence

from simulator.workloads.graphs.kinds.kind import Attributes, Kind, Operands, Work, streamed
from simulator.workloads.graphs.tensor import Shape, Tensor


def _shapes(attributes: Attributes, operands: Operands) -> tuple[Shape, ...]:
    return tuple(attributes["shapes"])


def _stated(attributes: Attributes, operands: Operands, results: Sequence[Tensor]) -> Work:
    """What the node was given as its work, else a pass over what it reads and writes at so many FLOPs a result."""
    if "work" in attributes:
        work: Work = attributes["work"]
        return work
    return streamed(operands, results, float(attributes.get("flops", 1.0)))


BACKWARD = {
    "InputGradient": Kind(_shapes, _stated),
    "PointwiseGradient": Kind(_shapes, _stated, pointwise=True),
    "WeightGradient": Kind(_shapes, _stated),
    "Mask": Kind(_shapes, _stated),
    "PatchSum": Kind(_shapes, _stated),
    "Loss": Kind(_shapes, _stated, pointwise=True),
    "Update": Kind(_shapes, _stated),
}
