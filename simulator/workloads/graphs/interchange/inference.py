"""Shapes and types of a node's results: by ONNX's own rule for its type, by ours, or by what the file states."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from simulator.workloads.graphs.interchange.facts import Fact
from simulator.workloads.graphs.interchange.loading import onnx_package
from simulator.workloads.graphs.kinds import KINDS

Dims = tuple[int | None, ...]
STANDARD = ("", "ai.onnx", "ai.onnx.ml")


def inferred(
    node: Any, operands: Sequence[Fact | None], opsets: dict[str, int], types: dict[str, Any]
) -> dict[str, tuple[Dims | None, int]]:
    """Shape (None: not even its rank is known) and type of each result by ONNX's rule; empty where it has none.

    `types` are of tensors around that the node's subgraphs read.
    """
    onnx = onnx_package()
    if node.domain not in STANDARD:
        return {}
    known = {name: fact for name, fact in zip(node.input, operands, strict=True) if fact is not None}
    values = {
        name: onnx.numpy_helper.from_array(np.asarray(fact.value, order="C"), name)
        for name, fact in known.items() if fact.value is not None
    }  # fmt: skip
    imports = [onnx.helper.make_opsetid(domain, version) for domain, version in opsets.items()]
    try:
        schema = onnx.defs.get_schema(node.op_type, opsets.get(node.domain, 1), node.domain)
        found = onnx.shape_inference.infer_node_outputs(
            schema, node, {**types, **{name: fact.proto() for name, fact in known.items()}}, values, None, imports
        )
    except Exception:  # types that the installed package does not know, and operands that do not fit its rule
        return {}
    return {name: stated(type) for name, type in found.items()}


def stated(type: Any) -> tuple[Dims | None, int]:
    """Shape and element type that a TypeProto states; of a sequence, those of its tensors."""
    if type.HasField("sequence_type"):
        return stated(type.sequence_type.elem_type)
    if type.HasField("optional_type"):
        return stated(type.optional_type.elem_type)
    tensor = type.tensor_type
    if not tensor.HasField("shape"):
        return None, tensor.elem_type
    sizes = tuple(d.dim_value if d.HasField("dim_value") else None for d in tensor.shape.dim)
    return sizes, tensor.elem_type


def by_kind(type: str, attributes: Mapping[str, Any], operands: Sequence[Fact | None]) -> list[Dims] | None:
    """Shapes of the first results by `KINDS`; None for unknown types and where sizes are only known at run time."""
    kind = KINDS.get(type)
    if kind is None:
        return None
    try:
        found = kind.shapes(attributes, [None if fact is None else fact.tensor() for fact in operands])
        return [tuple(int(size) for size in shape) for shape in found]
    except (KeyError, IndexError, TypeError, ValueError, AssertionError, ZeroDivisionError):
        return None


def merged(first: Dims | None, second: Dims | None) -> Dims | None:
    """The first, its unknown sizes taken from the second where both have as many."""
    if first is None or second is None or len(first) != len(second):
        return first if first is not None else second
    return tuple(b if a is None else a for a, b in zip(first, second, strict=True))
