"""Operators that read images at places other than the grid: warps, regions, deformed windows, columns put together."""

from __future__ import annotations

from collections.abc import Sequence

from simulator.workloads.graphs.kinds.convolution import windows
from simulator.workloads.graphs.kinds.kind import Attributes, Kind, Operands, Work, first, streamed
from simulator.workloads.graphs.tensor import Shape, Tensor, product
from simulator.workloads.operators import Convolution

BILINEAR = 7.0  # FLOPs of a mean of four neighbours with two weights


def _other(operands: Operands, at: int) -> Tensor:
    found = operands[at]
    assert found is not None
    return found


def _grid_shapes(attributes: Attributes, operands: Operands) -> tuple[Shape, ...]:
    image, grid = first(operands).shape, _other(operands, 1).shape
    return ((*image[:2], *grid[1:-1]),)


def _neighbours_work(attributes: Attributes, operands: Operands, results: Sequence[Tensor]) -> Work:
    """Two neighbours a dimension are read for each result, from cache where they overlap: the image is read once."""
    return streamed(operands, results, BILINEAR)


def _region_shapes(attributes: Attributes, operands: Operands) -> tuple[Shape, ...]:
    """One image for each region (ONNX, RoiAlign)."""
    image, regions = first(operands).shape, _other(operands, 1).shape
    return ((regions[0], image[1], attributes.get("output_height", 1), attributes.get("output_width", 1)),)


def _region_work(attributes: Attributes, operands: Operands, results: Sequence[Tensor]) -> Work:
    """`sampling_ratio` squared points (0: about two a side) for each result, four neighbours each."""
    side = attributes.get("sampling_ratio", 0) or 2
    read = 4.0 * side * side * results[0].bytes
    return streamed(operands, results, BILINEAR * side * side, reads=read)


def _deformed_shapes(attributes: Attributes, operands: Operands) -> tuple[Shape, ...]:
    image, filters = first(operands), _other(operands, 1)
    return ((image.shape[0], filters.shape[0], *windows(attributes, image.shape[2:], filters.shape[2:])),)


def _deformed_work(attributes: Attributes, operands: Operands, results: Sequence[Tensor]) -> Work:
    """Numbers between the grid points are made for each place of each window, then multiplied like a convolution."""
    image, filters, out = first(operands), _other(operands, 1), results[0]
    window, positions = product(filters.shape[2:]), product(out.shape[2:])
    columns = Tensor("columns", (image.shape[0], image.shape[1], window, positions), image.dtype)
    return (
        *streamed([image, *operands[2:3]], [columns], BILINEAR),
        (
            Convolution(
                image.shape[0], image.shape[1], out.shape[1], window * positions, positions, window,
                attributes.get("group", 1), filters.dtype, image.dtype,
            ),
            1,
        ),
    )  # fmt: skip


def _columns_shapes(attributes: Attributes, operands: Operands) -> tuple[Shape, ...]:
    """The image that the columns of all windows add up to (ONNX, Col2Im)."""
    columns, image, block = first(operands).shape, attributes["image_shape"], attributes["block_shape"]
    return ((columns[0], columns[1] // product(tuple(block)), *image),)


def _columns_work(attributes: Attributes, operands: Operands, results: Sequence[Tensor]) -> Work:
    return streamed(operands[:1], results, first(operands).elements / results[0].elements)


def _affine_shapes(attributes: Attributes, operands: Operands) -> tuple[Shape, ...]:
    size = attributes["size"]
    return ((size[0], *size[2:], len(size) - 2),)


def _unpooled(attributes: Attributes, operands: Operands) -> tuple[Shape, ...]:
    """(size - 1) stride - pads + window (ONNX, MaxUnpool)."""
    image, kernel = first(operands).shape, attributes["kernel_shape"]
    count = len(kernel)
    strides, pads = attributes.get("strides") or [1] * count, attributes.get("pads") or [0] * 2 * count
    return ((*image[:2], *((s - 1) * strides[i] + kernel[i] - pads[i] - pads[i + count]
                           for i, s in enumerate(image[2:]))),)  # fmt: skip


SAMPLING = {
    "GridSample": Kind(_grid_shapes, _neighbours_work),
    "RoiAlign": Kind(_region_shapes, _region_work),
    "DeformConv": Kind(_deformed_shapes, _deformed_work),
    "Col2Im": Kind(_columns_shapes, _columns_work),
    "AffineGrid": Kind(_affine_shapes, _neighbours_work),
    "MaxUnpool": Kind(_unpooled, _columns_work),
}
