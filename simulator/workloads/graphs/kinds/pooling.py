"""Pooling over windows and reductions over whole dimensions."""

from __future__ import annotations

from collections.abc import Sequence

from simulator.workloads.graphs.kinds.convolution import windows
from simulator.workloads.graphs.kinds.kind import Attributes, Kind, Operands, Work, first, streamed
from simulator.workloads.graphs.tensor import Shape, Tensor, product


def _window_shapes(attributes: Attributes, operands: Operands) -> tuple[Shape, ...]:
    image = first(operands)
    return ((*image.shape[:2], *windows(attributes, image.shape[2:], tuple(attributes["kernel_shape"]))),)


def _window_work(attributes: Attributes, operands: Operands, results: Sequence[Tensor]) -> Work:
    return streamed(operands, results[:1], float(product(tuple(attributes["kernel_shape"]))), "pooling")


def _global_shapes(attributes: Attributes, operands: Operands) -> tuple[Shape, ...]:
    image = first(operands)
    return ((*image.shape[:2], *(1,) * (len(image.shape) - 2)),)


def _adaptive_shapes(attributes: Attributes, operands: Operands) -> tuple[Shape, ...]:
    return ((*first(operands).shape[:2], *attributes["output_size"]),)


def _reduce_shapes(attributes: Attributes, operands: Operands) -> tuple[Shape, ...]:
    """Named `axes` (all without) shrink to 1, or go where `keepdims` is 0."""
    shape = first(operands).shape
    axes = {a % len(shape) for a in attributes.get("axes") or range(len(shape))}
    keep = attributes.get("keepdims", 1)
    return (tuple(1 if i in axes else size for i, size in enumerate(shape) if keep or i not in axes),)


def _reduce_work(attributes: Attributes, operands: Operands, results: Sequence[Tensor]) -> Work:
    """One FLOP for each number read."""
    read = first(operands)
    return streamed((read,), results[:1], read.elements / results[0].elements, "reduction")


def _arg_shapes(attributes: Attributes, operands: Operands) -> tuple[Shape, ...]:
    return _reduce_shapes({"axes": [attributes.get("axis", 0)], "keepdims": attributes.get("keepdims", 1)}, operands)


_REDUCTIONS = ("Mean", "Sum", "Max", "Min", "Prod", "L1", "L2", "SumSquare", "LogSumExp", "LogSum")

POOLING = {
    "MaxPool": Kind(_window_shapes, _window_work),
    "AveragePool": Kind(_window_shapes, _window_work),
    "LpPool": Kind(_window_shapes, _window_work),
    "GlobalAveragePool": Kind(_global_shapes, _reduce_work),
    "GlobalMaxPool": Kind(_global_shapes, _reduce_work),
    "GlobalLpPool": Kind(_global_shapes, _reduce_work),
    "AdaptiveAveragePool": Kind(_adaptive_shapes, _reduce_work),
    "ArgMax": Kind(_arg_shapes, _reduce_work),
    "ArgMin": Kind(_arg_shapes, _reduce_work),
    **{f"Reduce{name}": Kind(_reduce_shapes, _reduce_work) for name in _REDUCTIONS},
}
