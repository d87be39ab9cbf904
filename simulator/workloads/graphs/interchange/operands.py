"""From the operands and attributes of ONNX's versions to those that `kinds` read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from simulator.workloads.graphs.interchange.facts import Fact
from simulator.workloads.graphs.interchange.loading import onnx_package
from simulator.workloads.graphs.kinds.elementwise import ELEMENTWISE
from simulator.workloads.graphs.kinds.pooling import POOLING

# Operands that only say how: their numbers become attributes, by place.
_AXES = {1: "axes"}
VALUES: dict[str, dict[int, str]] = {
    "Reshape": {1: "shape"}, "Expand": {1: "shape"}, "Tile": {1: "repeats"}, "Squeeze": _AXES, "Unsqueeze": _AXES,
    "Slice": {1: "starts", 2: "ends", 3: "axes", 4: "steps"}, "Pad": {1: "pads", 2: "value", 3: "axes"},
    "Split": {1: "split"}, "Resize": {1: "roi", 2: "scales", 3: "sizes"}, "Upsample": {1: "scales"},
    "TopK": {1: "k"}, "OneHot": {1: "depth"}, "CumSum": {1: "axis"}, "Trilu": {1: "diagonal"},
    "Range": {0: "start", 1: "limit", 2: "delta"}, "ConstantOfShape": {0: "shape"}, "AffineGrid": {1: "size"},
    "NonMaxSuppression": {2: "max_output_boxes_per_class", 3: "iou_threshold", 4: "score_threshold"},
    "Col2Im": {1: "image_shape", 2: "block_shape"}, "DFT": {1: "dft_length", 2: "axis"},
    "STFT": {1: "frame_step", 3: "frame_length"}, "CenterCropPad": {1: "shape"},
    **{name: _AXES for name in POOLING if name.startswith("Reduce")},
}  # fmt: skip
SCALARS = ("k", "depth", "axis", "diagonal", "max_output_boxes_per_class", "dft_length", "frame_step", "frame_length")
# Types whose nodes state the shape of their result.
GIVEN = (
    "Slice", "Expand", "Tile", "Range", "ConstantOfShape", "RandomNormal", "RandomUniform", "HannWindow",
    "HammingWindow", "BlackmanWindow", "MelWeightMatrix", "Multinomial", "Shape", "Size",
)  # fmt: skip
RENAMED = {("com.microsoft", "Attention"): "PackedAttention", ("com.microsoft", "QAttention"): "QAttention"}
KNOWN_DOMAINS = ("", "ai.onnx", "com.microsoft", "com.microsoft.nchwc")


def type_of(node: Any) -> str:
    """The type by which `KINDS` knows a node; those of other domains carry their domain."""
    if node.op_type == "Dropout":
        return "Identity"  # nothing is dropped in inference
    if node.domain == "com.ms.internal.nhwc" or node.domain not in KNOWN_DOMAINS:
        return f"{node.domain}:{node.op_type}"
    return RENAMED.get((node.domain, node.op_type), str(node.op_type))


def attributes_of(node: Any) -> dict[str, Any]:
    """Plain attributes: numbers, texts and lists of them; subgraphs and tensors are left to those who need them."""
    onnx = onnx_package()
    found = {}
    for attribute in node.attribute:
        if attribute.type in (attribute.INT, attribute.FLOAT, attribute.INTS, attribute.FLOATS):
            found[attribute.name] = onnx.helper.get_attribute_value(attribute)
        elif attribute.type == attribute.STRING:
            found[attribute.name] = attribute.s.decode(errors="replace")
    return {name: list(value) if not isinstance(value, int | float | str) else value for name, value in found.items()}


def lifted(
    type: str, attributes: dict[str, Any], operands: Sequence[Fact | None]
) -> tuple[dict[str, Any], list[Fact | None]]:
    """Attributes with the numbers of operands that only say how, and the operands that are left."""
    attributes, places = dict(attributes), VALUES.get(type, {})
    kept: list[Fact | None] = []
    for place, fact in enumerate(operands):
        name = places.get(place)
        if name is None or (fact is not None and fact.value is None and not _empty(fact)):
            kept.append(fact)
        elif fact is not None and fact.elements:
            assert fact.value is not None
            numbers = fact.value.tolist()
            attributes[name] = numbers if isinstance(numbers, list) and name not in SCALARS else _scalar(numbers)
    if type in ELEMENTWISE:
        kept = _without_literals(type, attributes, kept)
    if type == "BatchNormalization":
        kept = kept[:3]  # mean and variance are statistics, not parameters
    while kept and kept[-1] is None:
        kept.pop()
    return _completed(type, attributes, kept), kept


def _without_literals(type: str, attributes: dict[str, Any], operands: Sequence[Fact | None]) -> list[Fact | None]:
    """Operands less fixed scalars, which are part of what a pointwise operator does: `literals`, by their places."""
    literals = {
        place: fact.value.item()
        for place, fact in enumerate(operands) if fact is not None and not fact.shape and fact.value is not None
    }  # fmt: skip
    if type == "Clip":
        attributes |= {name: literals[place] for place, name in ((1, "min"), (2, "max")) if place in literals}
    elif literals:
        attributes["literals"] = literals
    return [fact for place, fact in enumerate(operands) if place not in literals]


def _empty(fact: Fact) -> bool:
    return fact.elements == 0


def _scalar(numbers: Any) -> Any:
    while isinstance(numbers, list):
        numbers = numbers[0]
    return numbers


def _completed(type: str, attributes: dict[str, Any], operands: Sequence[Fact | None]) -> dict[str, Any]:
    """Attributes whose form differs between ONNX's versions, in one form."""
    operand = operands[0] if operands else None
    if type == "Pad" and operand is not None:
        rank = len(operand.shape)
        pads = attributes.get("pads", attributes.get("paddings"))
        axes = [a % rank for a in attributes.pop("axes", range(rank))]
        if pads is not None:
            full = [0] * 2 * rank
            for i, axis in enumerate(axes):
                full[axis], full[axis + rank] = pads[i], pads[i + len(axes)]
            attributes["pads"] = full
    if type in ("LSTM", "GRU", "RNN") and "hidden_size" not in attributes:
        recurrent = operands[2]
        assert recurrent is not None
        attributes["hidden_size"] = recurrent.shape[2]
    if type in ("Resize", "Upsample") and "scales" not in attributes and operand is not None:
        attributes.pop("sizes", None) if "axes" in attributes else None
    return attributes


def stating(
    type: str, attributes: dict[str, Any], operands: Sequence[Fact | None], shape: tuple[int, ...]
) -> tuple[dict[str, Any], list[Fact | None]]:
    """The node with what `kinds` want it to state of its result."""
    if type in GIVEN or (type == "Reshape" and "shape" not in attributes):
        return {**attributes, "shape": list(shape)}, list(operands)
    if type in ("Resize", "Upsample"):
        return {**attributes, "sizes": list(shape)}, list(operands[:1])
    return attributes, list(operands)
