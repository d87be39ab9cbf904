"""Evaluate nodes whose operands are fixed: shape arithmetic, and weights that are made from other weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from simulator.workloads.graphs.interchange.facts import MOST_NUMBERS, Array, Fact
from simulator.workloads.graphs.interchange.loading import onnx_package

RANDOM = ("RandomNormal", "RandomUniform", "RandomNormalLike", "RandomUniformLike", "Bernoulli", "Multinomial")


def shape_value(node: Any, attributes: dict[str, Any], operand: Fact) -> Array | None:
    """What Shape and Size give, which is known without the operand's numbers."""
    if node.op_type == "Shape":
        return np.array(operand.shape[attributes.get("start", 0) : attributes.get("end")], dtype=np.int64)
    return np.array(operand.elements, dtype=np.int64) if node.op_type == "Size" else None


def is_fixed(node: Any, operands: Sequence[Fact | None]) -> bool:
    """Whether a node gives the same in each run."""
    return node.op_type not in RANDOM and all(fact is None or fact.constant for fact in operands)


def evaluate(node: Any, operands: Sequence[Fact | None], opsets: dict[str, int], elements: int) -> list[Array] | None:
    """The results of a node whose operands' numbers are known, None where they are not, too many, or not computable.

    `elements` is how many numbers the first result has.
    """
    if elements > MOST_NUMBERS or any(fact is not None and fact.value is None for fact in operands):
        return None
    onnx = onnx_package()
    try:
        values = {name: fact.value for name, fact in zip(node.input, operands, strict=True) if fact is not None}
        written = [name for name in node.output if name]
        imports = [onnx.helper.make_opsetid(domain, version) for domain, version in opsets.items()]
        function = onnx.helper.make_function("", "node", [*values], written, [node], imports)
        run = onnx.reference.ReferenceEvaluator(function)
        return [np.asarray(found) for found in run.run(written, values, {})]
    except Exception:  # the reference lacks some types and contributed domains: shapes are then inferred
        return None
