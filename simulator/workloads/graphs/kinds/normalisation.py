"""Normalisation and softmax: statistics over some dimensions, then a pass over each number."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from simulator.workloads.graphs.kinds.kind import Attributes, Kind, Operands, Work, first, same_shape, streamed
from simulator.workloads.graphs.tensor import Tensor


def _passes(
    reads: float, flops: float, kernel: str, attributes: Attributes, operands: Operands, results: Sequence[Tensor]
) -> Work:
    return streamed(operands, results[:1], flops, kernel, reads=reads * first(operands).bytes)


def _kind(reads: float, flops: float, kernel: str, *, pointwise: bool = False) -> Kind:
    """`reads` passes over the operand: one where its statistics are known or fit in cache, two where not."""
    work: Callable[[Attributes, Operands, Sequence[Tensor]], Work] = partial(_passes, reads, flops, kernel)
    return Kind(same_shape, work, pointwise=pointwise)


NORMALISATION = {
    # with known statistics: a factor and a term for each channel
    "BatchNormalization": _kind(1.0, 2.0, "elementwise", pointwise=True),
    "LayerNormalization": _kind(1.0, 8.0, "norm"),
    "SimplifiedLayerNormalization": _kind(1.0, 5.0, "norm"),
    "RMSNormalization": _kind(1.0, 5.0, "norm"),
    "GroupNormalization": _kind(2.0, 8.0, "norm"),
    "InstanceNormalization": _kind(2.0, 8.0, "norm"),
    "LpNormalization": _kind(1.0, 4.0, "norm"),
    "MeanVarianceNormalization": _kind(2.0, 8.0, "norm"),
    "LRN": _kind(1.0, 20.0, "norm"),
    "Softmax": _kind(1.0, 12.0, "softmax"),
    "LogSoftmax": _kind(1.0, 12.0, "softmax"),
}
