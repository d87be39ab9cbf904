"""Types that operator set 17 lacks, or writes otherwise, in its own operators."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from simulator.workloads.graphs.graph import Node
from simulator.workloads.graphs.interchange.formats import INT32, INT64
from simulator.workloads.graphs.interchange.writing import Writer, refuse

Write = Callable[[Writer, Node, list[str]], object]
EPSILON = 1e-5


def _sigmoid_times(factor: float) -> Write:
    def write(w: Writer, node: Node, x: list[str]) -> None:
        scaled = x[0] if factor == 1.0 else w.add("Mul", [x[0], w.number(factor, node.outputs[0])])
        w.add("Mul", [x[0], w.add("Sigmoid", [scaled])], node.outputs)

    return write


def _gelu(w: Writer, node: Node, x: list[str]) -> None:
    """x (1 + erf(x / sqrt 2)) / 2 (Hendrycks and Gimpel, arXiv:1606.08415)."""
    out = node.outputs[0]
    inner = w.add("Erf", [w.add("Div", [x[0], w.number(math.sqrt(2.0), out)])])
    scaled = w.add("Mul", [x[0], w.add("Add", [inner, w.number(1.0, out)])])
    w.add("Mul", [scaled, w.number(0.5, out)], out)


def _mish(w: Writer, node: Node, x: list[str]) -> None:
    w.add("Mul", [x[0], w.add("Tanh", [w.add("Softplus", [x[0]])])], node.outputs)


def _attention(w: Writer, node: Node, x: list[str]) -> None:
    """Scores, softmax, and the weighted sum of values; keys that several heads share are laid out for each."""
    if node.attributes.get("share", 1.0) != 1.0:
        raise refuse(node, "it looks at a share of the pairs only")
    query, keys, values = (w.shape(name) for name in node.inputs[:3])
    key, value = _for_each_head(w, x[1], keys, query), _for_each_head(w, x[2], values, query)
    order = [*range(len(query) - 2), len(query) - 1, len(query) - 2]
    scores = w.add("MatMul", [x[0], w.add("Transpose", [key], perm=order)])
    scaled = w.add("Mul", [scores, w.number(1.0 / math.sqrt(query[-1]), node.outputs[0])])
    if len(x) > 3:
        scaled = w.add("Add", [scaled, _bias(w, x[3], w.shape(node.inputs[3]), query[-2], keys[-2])])
    w.add("MatMul", [w.add("Softmax", [scaled], axis=-1), value], node.outputs)


def _bias(w: Writer, name: str, shape: Sequence[int], rows: int, columns: int) -> str:
    """Terms of the scores (heads, rows, columns), picked out of a table (places, heads) where they are kept in one."""
    if tuple(shape[-2:]) == (rows, columns) or len(shape) != 2:
        return name
    places = [(row - column) % shape[0] for row in range(rows) for column in range(columns)]
    picked = w.add("Reshape", [w.add("Gather", [name, w.integers(places)]), w.integers([rows, columns, shape[1]])])
    return w.add("Transpose", [picked], perm=[2, 0, 1])


def _for_each_head(w: Writer, name: str, shape: Sequence[int], query: Sequence[int]) -> str:
    if list(shape[:-2]) == list(query[:-2]):
        return name
    lead, heads, rows = list(shape[:-3]), shape[-3], list(shape[-2:])
    spread = w.add("Reshape", [name, w.integers([*lead, heads, 1, *rows])])
    wide = w.add("Expand", [spread, w.integers([*lead, heads, query[-3] // heads, *rows])])
    return w.add("Reshape", [wide, w.integers([*lead, query[-3], *rows])])


def _spread(w: Writer, node: Node, x: str, axes: list[int], *, centre: bool) -> str:
    """x, less its mean where `centre`, over the root of its mean square along `axes`."""
    if centre:
        x = w.add("Sub", [x, w.add("ReduceMean", [x], axes=axes)])
    square = w.add("ReduceMean", [w.add("Mul", [x, x])], axes=axes)
    root = w.add("Sqrt", [w.add("Add", [square, w.number(EPSILON, node.outputs[0])])])
    return w.add("Div", [x, root])


def _layer_norm(w: Writer, node: Node, x: list[str]) -> None:
    """Without weights by hand; over channels alone, which ONNX has not, with these last for a while."""
    shape, given = w.shape(node.inputs[0]), node.attributes.get("axis", -1)
    rank = len(shape)
    axis, epsilon = given % rank, node.attributes.get("epsilon", EPSILON)
    if len(x) == 1:
        w.add("Identity", [_spread(w, node, x[0], list(range(axis, rank)), centre=True)], node.outputs)
    elif w.shape(node.inputs[1]) == shape[axis:]:
        w.add("LayerNormalization", x, node.outputs, axis=given, epsilon=epsilon)
    else:
        order = [i for i in range(rank) if i != axis] + [axis]
        rows = w.add("Transpose", [x[0]], perm=order)
        y = w.add("LayerNormalization", [rows, *x[1:]], axis=-1, epsilon=epsilon)
        w.add("Transpose", [y], node.outputs, perm=[order.index(i) for i in range(rank)])


def _rms_norm(w: Writer, node: Node, x: list[str]) -> None:
    y = _spread(w, node, x[0], [-1], centre=False)
    w.add("Mul" if len(x) > 1 else "Identity", [y, *x[1:2]], node.outputs)


def _group_norm(w: Writer, node: Node, x: list[str]) -> None:
    shape = w.shape(node.inputs[0])
    rows = w.add("Reshape", [x[0], w.integers([shape[0], node.attributes["num_groups"], -1])])
    y = w.add("Reshape", [_spread(w, node, rows, [2], centre=True), w.integers(shape)])
    wide = w.integers([-1, *(1 for _ in shape[2:])])
    for type, name in zip(("Mul", "Add"), x[1:3], strict=False):
        y = w.add(type, [y, w.add("Reshape", [name, wide])])
    w.add("Identity", [y], node.outputs)


def _batch_norm(w: Writer, node: Node, x: list[str]) -> None:
    """Mean 0 and variance 1 stand for the statistics, which are no parameters here."""
    channels = w.shape(node.inputs[0])[1]
    out = node.outputs[0]
    w.add("BatchNormalization", [*x[:3], w.number([0.0] * channels, out), w.number([1.0] * channels, out)], out)


def _adaptive_pool(w: Writer, node: Node, x: list[str]) -> None:
    before, after = w.shape(node.inputs[0])[2:], w.shape(node.outputs[0])[2:]
    if any(b % a for b, a in zip(before, after, strict=True)):
        raise refuse(node, f"windows from {before} to {after} differ in size")
    window = [b // a for b, a in zip(before, after, strict=True)]
    w.add("AveragePool", x, node.outputs, kernel_shape=window, strides=window)


def _with_values(names: Sequence[str]) -> Write:
    """Attributes that operator set 17 takes as operands."""

    def write(w: Writer, node: Node, x: list[str]) -> None:
        stated = [node.attributes.get(name) for name in names]
        given = ["" if values is None else w.integers(values) for values in stated]
        while given and not given[-1]:
            given.pop()
        rest = {name: value for name, value in node.attributes.items() if name not in (*names, "shape", "num_outputs")}
        w.add(node.type, [*x, *given], node.outputs, **rest)

    return write


def _slice(w: Writer, node: Node, x: list[str]) -> object:
    """From the start of each dimension, where the node only states the shape of its result."""
    if "starts" in node.attributes:
        return _with_values(("starts", "ends", "axes", "steps"))(w, node, x)
    shape = w.shape(node.outputs[0])
    return w.add("Slice", [*x, w.integers([0] * len(shape)), w.integers(shape)], node.outputs)


def _expand(w: Writer, node: Node, x: list[str]) -> None:
    w.add("Expand", [*x, w.integers(w.shape(node.outputs[0]))], node.outputs)


def _tile(w: Writer, node: Node, x: list[str]) -> None:
    pairs = zip(w.shape(node.outputs[0]), w.shape(node.inputs[0]), strict=True)
    w.add("Tile", [*x, w.integers([after // before for after, before in pairs])], node.outputs)


def _resize(w: Writer, node: Node, x: list[str]) -> None:
    mode = node.attributes.get("mode", "nearest")
    form = "asymmetric" if mode == "nearest" else "half_pixel"
    sizes = w.integers(w.shape(node.outputs[0]))
    w.add("Resize", [x[0], "", "", sizes], node.outputs, mode=mode, coordinate_transformation_mode=form,
          nearest_mode="floor")  # fmt: skip


def _split(w: Writer, node: Node, x: list[str]) -> None:
    axis = node.attributes.get("axis", 0)
    w.add("Split", [*x, w.integers([w.shape(name)[axis] for name in node.outputs])], node.outputs, axis=axis)


def _clip(w: Writer, node: Node, x: list[str]) -> None:
    """Bounds 0 and 6 (ReLU6) where the graph states none."""
    bounds = [node.attributes.get("min", 0.0), node.attributes.get("max", 6.0)]
    w.add("Clip", [x[0], *(w.number(b, node.outputs[0]) for b in bounds)], node.outputs)


def _gather(w: Writer, node: Node, x: list[str]) -> None:
    indices = w.graph.tensors[node.inputs[1]]
    if w.element(indices) not in (INT32, INT64):
        x[1] = w.add("Cast", [x[1]], to=INT64)
    w.add("Gather", x, node.outputs, axis=node.attributes.get("axis", 0))


DECOMPOSITIONS: dict[str, Write] = {
    "Silu": _sigmoid_times(1.0), "Swish": _sigmoid_times(1.0), "QuickGelu": _sigmoid_times(1.702), "Gelu": _gelu,
    "FastGelu": _gelu, "Mish": _mish, "Attention": _attention, "LayerNormalization": _layer_norm,
    "RMSNormalization": _rms_norm, "GroupNormalization": _group_norm, "BatchNormalization": _batch_norm,
    "AdaptiveAveragePool": _adaptive_pool, "Slice": _slice, "Expand": _expand, "Tile": _tile, "Resize": _resize,
    "Upsample": _resize, "Split": _split, "Clip": _clip, "Gather": _gather, "ReduceSum": _with_values(("axes",)),
    "Reshape": _with_values(("shape",)), "Squeeze": _with_values(("axes",)), "Unsqueeze": _with_values(("axes",)),
    "Pad": _with_values(("pads",)),
}  # fmt: skip
