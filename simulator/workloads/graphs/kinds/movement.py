"""Operators that only move numbers, or only name them otherwise."""

from __future__ import annotations

from collections.abc import Sequence

from simulator.errors import InputError
from simulator.workloads.graphs.kinds.kind import (
    NOTHING,
    Attributes,
    Kind,
    Operands,
    Work,
    first,
    same_shape,
    streamed,
)
from simulator.workloads.graphs.tensor import Shape, Tensor, product
from simulator.workloads.operators import Gather


def _nothing(attributes: Attributes, operands: Operands, results: Sequence[Tensor]) -> Work:
    return NOTHING


def _copy(attributes: Attributes, operands: Operands, results: Sequence[Tensor]) -> Work:
    """What is written was read, once: slices and crops leave the rest alone, padding and repeats read less."""
    written = sum((t.bytes for t in results), 0.0)
    held = sum((t.bytes for t in operands if t is not None), 0.0)
    return streamed(operands, results, 0.0, "copy", reads=written if written <= held else held)


def _permuted(attributes: Attributes, operands: Operands, results: Sequence[Tensor]) -> Work:
    return streamed(operands, results, 0.0, "transpose")


def _reshaped(attributes: Attributes, operands: Operands) -> tuple[Shape, ...]:
    """`shape` with at most one -1, for what is left, and 0 for a dimension that stays."""
    before, wanted = first(operands).shape, list(attributes["shape"])
    kept = [before[i] if isinstance(s, int) and s == 0 and i < len(before) else s for i, s in enumerate(wanted)]
    free = [i for i, s in enumerate(kept) if isinstance(s, int) and s == -1]
    if len(free) > 1:
        raise InputError(f"Reshape: shape {wanted} leaves more than one dimension open")
    if free:
        kept[free[0]] = product(before) // product(tuple(s for i, s in enumerate(kept) if i != free[0]))
    return (tuple(kept),)


def _flattened(attributes: Attributes, operands: Operands) -> tuple[Shape, ...]:
    shape, axis = first(operands).shape, attributes.get("axis", 1)
    return ((product(shape[:axis]), product(shape[axis:])),)


def _squeezed(attributes: Attributes, operands: Operands) -> tuple[Shape, ...]:
    shape = first(operands).shape
    axes = attributes.get("axes")
    gone = {a % len(shape) for a in axes} if axes else {i for i, s in enumerate(shape) if isinstance(s, int) and s == 1}
    return (tuple(s for i, s in enumerate(shape) if i not in gone),)


def _unsqueezed(attributes: Attributes, operands: Operands) -> tuple[Shape, ...]:
    shape = list(first(operands).shape)
    count = len(shape) + len(attributes["axes"])
    for axis in sorted(a % count for a in attributes["axes"]):
        shape.insert(axis, 1)
    return (tuple(shape),)


def _transposed(attributes: Attributes, operands: Operands) -> tuple[Shape, ...]:
    shape = first(operands).shape
    order = attributes.get("perm") or tuple(reversed(range(len(shape))))
    return (tuple(shape[i] for i in order),)


def _concatenated(attributes: Attributes, operands: Operands) -> tuple[Shape, ...]:
    shapes = [t.shape for t in operands if t is not None]
    axis = attributes["axis"] % len(shapes[0])
    return ((*shapes[0][:axis], sum(s[axis] for s in shapes), *shapes[0][axis + 1 :]),)


def _split(attributes: Attributes, operands: Operands) -> tuple[Shape, ...]:
    """Pieces along `axis` of the sizes `split`, or `num_outputs` equal ones."""
    shape = first(operands).shape
    axis = attributes.get("axis", 0) % len(shape)
    count = attributes.get("num_outputs", 2)
    sizes = attributes.get("split") or [shape[axis] // count] * count
    return tuple((*shape[:axis], size, *shape[axis + 1 :]) for size in sizes)


def _given(attributes: Attributes, operands: Operands) -> tuple[Shape, ...]:
    """The shape that the node states: slices, padding, expansion, resizing, tiling."""
    return (tuple(attributes["shape"]),)


def _placed(attributes: Attributes, operands: Operands) -> tuple[Shape, ...]:
    return tuple(attributes["shapes"])


def _loaded(attributes: Attributes, operands: Operands, results: Sequence[Tensor]) -> Work:
    """Written as it comes from outside."""
    return streamed((), results, 0.0, "copy")


def _padded(attributes: Attributes, operands: Operands) -> tuple[Shape, ...]:
    shape, pads = first(operands).shape, attributes["pads"]
    return (tuple(s + pads[i] + pads[i + len(shape)] for i, s in enumerate(shape)),)


def _resized(attributes: Attributes, operands: Operands) -> tuple[Shape, ...]:
    """The `sizes` of all dimensions, or what their `scales` give."""
    if "sizes" in attributes:
        return (tuple(attributes["sizes"]),)
    shape = first(operands).shape
    return (tuple(int(s * scale) for s, scale in zip(shape, attributes["scales"], strict=True)),)


def _to_depth(attributes: Attributes, operands: Operands) -> tuple[Shape, ...]:
    n, c, h, w = first(operands).shape
    block = attributes["blocksize"]
    return ((n, c * block * block, h // block, w // block),)


def _to_space(attributes: Attributes, operands: Operands) -> tuple[Shape, ...]:
    n, c, h, w = first(operands).shape
    block = attributes["blocksize"]
    return ((n, c // (block * block), h * block, w * block),)


def _gathered(attributes: Attributes, operands: Operands) -> tuple[Shape, ...]:
    table, rows = first(operands).shape, operands[1]
    assert rows is not None
    axis = attributes.get("axis", 0) % len(table)
    return ((*table[:axis], *rows.shape, *table[axis + 1 :]),)


def _gather_work(attributes: Attributes, operands: Operands, results: Sequence[Tensor]) -> Work:
    """Rows picked out of a table: each is read and written once; the rest of the table is left alone."""
    table, out = first(operands), results[0]
    axis = attributes.get("axis", 0) % len(table.shape)
    width = product(table.shape[axis + 1 :])
    return ((Gather(out.elements / width, float(width), out.dtype, "gather"), 1),)


_VIEW = {
    "Reshape": _reshaped, "Flatten": _flattened, "Squeeze": _squeezed, "Unsqueeze": _unsqueezed, "Identity": same_shape,
}  # fmt: skip
_COPY = {
    "Concat": _concatenated, "Split": _split, "Slice": _given, "Expand": _given,
    "Tile": _given, "Pad": _padded, "SpaceToDepth": _to_depth, "DepthToSpace": _to_space,
}  # fmt: skip


def _resize_work(attributes: Attributes, operands: Operands, results: Sequence[Tensor]) -> Work:
    """Seven FLOPs a result where four neighbours are weighed, none where the nearest is taken."""
    return streamed(operands[:1], results, 7.0 if attributes.get("mode") == "linear" else 0.0, "resize")


MOVEMENT = {
    **{name: Kind(shapes, _nothing, view=True) for name, shapes in _VIEW.items()},
    **{name: Kind(shapes, _copy) for name, shapes in _COPY.items()},
    "Transpose": Kind(_transposed, _permuted),
    "Resize": Kind(_resized, _resize_work),
    "Upsample": Kind(_resized, _resize_work),
    # a part of an image that the kernel before it writes to its place, and one that comes from outside
    "Place": Kind(_placed, _nothing),
    "Load": Kind(_placed, _loaded),
    "Gather": Kind(_gathered, _gather_work),
}
