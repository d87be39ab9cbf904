"""Convolutions of one, two or three dimensions, strided, dilated, grouped and transposed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from simulator.workloads.graphs.kinds.kind import Attributes, Kind, Operands, Work, agree, first
from simulator.workloads.graphs.tensor import Shape, Tensor, product
from simulator.workloads.operators import Convolution, Size


def _each(attributes: Attributes, name: str, count: int, usual: int) -> Sequence[Any]:
    """An attribute with one value a dimension."""
    return attributes.get(name) or [usual] * count


def windows(attributes: Attributes, spatial: Shape, kernel: Shape) -> Shape:
    """Positions of a window over each dimension: floor((size + pads - dilation (kernel - 1) - 1) / stride) + 1.

    "SAME" padding gives ceil(size / stride) (ONNX, Conv, `auto_pad`). `ceil_mode` rounds up, but for a window that
    would start behind the operand's last number (ONNX, MaxPool; PyTorch does the same).
    """
    count = len(spatial)
    strides, dilations = _each(attributes, "strides", count, 1), _each(attributes, "dilations", count, 1)
    if str(attributes.get("auto_pad", "")).startswith("SAME"):
        return tuple(-(-size // stride) for size, stride in zip(spatial, strides, strict=True))
    pads = _each(attributes, "pads", 2 * count, 0)
    up = int(bool(attributes.get("ceil_mode", 0)))
    found = []
    for i, size in enumerate(spatial):
        free = size + pads[i] + pads[i + count] - dilations[i] * (kernel[i] - 1) - 1
        last = -(-free // strides[i]) if up else free // strides[i]
        found.append(last + 1 - (up and last * strides[i] >= size + pads[i]))
    return tuple(found)


def _shapes(attributes: Attributes, operands: Operands) -> tuple[Shape, ...]:
    image, filters = first(operands), operands[1]
    assert filters is not None
    agree("Conv", image.shape[1], filters.shape[1] * attributes.get("group", 1))
    return ((image.shape[0], filters.shape[0], *windows(attributes, image.shape[2:], filters.shape[2:])),)


def _work(attributes: Attributes, operands: Operands, results: Sequence[Tensor]) -> Work:
    image, filters, out = first(operands), operands[1], results[0]
    assert filters is not None
    return ((_operator(attributes, image, filters, out, out.shape[1], product(out.shape[2:])), 1),)


def _transposed_shapes(attributes: Attributes, operands: Operands) -> tuple[Shape, ...]:
    """The size whose convolution would give the operand's: (size - 1) stride - pads + dilation (kernel - 1) + 1.

    "SAME" padding gives size * stride, and `output_shape` states the size itself (ONNX, ConvTranspose).
    """
    image, filters = first(operands), operands[1]
    assert filters is not None
    spatial, kernel = image.shape[2:], filters.shape[2:]
    count = len(spatial)
    strides, dilations = _each(attributes, "strides", count, 1), _each(attributes, "dilations", count, 1)
    lead = (image.shape[0], filters.shape[1] * attributes.get("group", 1))
    if attributes.get("output_shape"):
        return ((*lead, *attributes["output_shape"]),)
    if str(attributes.get("auto_pad", "")).startswith("SAME"):
        return ((*lead, *(size * stride for size, stride in zip(spatial, strides, strict=True))),)
    pads, more = _each(attributes, "pads", 2 * count, 0), _each(attributes, "output_padding", count, 0)
    out = tuple(
        (size - 1) * strides[i] + more[i] + dilations[i] * (kernel[i] - 1) + 1 - pads[i] - pads[i + count]
        for i, size in enumerate(spatial)
    )
    return ((*lead, *out),)


def _transposed_work(attributes: Attributes, operands: Operands, results: Sequence[Tensor]) -> Work:
    """Each input position multiplies the whole window, so that the products are counted over the operand."""
    image, filters, out = first(operands), operands[1], results[0]
    assert filters is not None
    return ((_operator(attributes, image, filters, out, out.shape[1], product(image.shape[2:])), 1),)


def _operator(
    attributes: Attributes, image: Tensor, filters: Tensor, out: Tensor, count: Size, positions: Size
) -> Convolution:
    groups = attributes.get("group", 1)
    return Convolution(
        image.shape[0], image.shape[1], count, product(image.shape[2:]), positions, product(filters.shape[2:]), groups,
        filters.dtype, image.dtype, product(out.shape[2:]),
    )  # fmt: skip


CONVOLUTION = {"Conv": Kind(_shapes, _work), "ConvTranspose": Kind(_transposed_shapes, _transposed_work)}
