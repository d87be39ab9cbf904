"""Several products of one operand in one kernel, side by side: what horizontal fusion makes.

Operands are x, then for each result a weight and a term (left out: an empty name), as for MatMul and Conv with bias.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from simulator.workloads.graphs.kinds.convolution import CONVOLUTION
from simulator.workloads.graphs.kinds.kind import Attributes, Kind, Operands, Work, first
from simulator.workloads.graphs.kinds.product import PRODUCT
from simulator.workloads.graphs.tensor import Shape, Tensor
from simulator.workloads.operators import Convolution, Gemm


def _like(kind: Kind) -> Kind:
    """Results of `kind` for each weight; one operator as wide as all of them."""

    def shapes(attributes: Attributes, operands: Operands) -> tuple[Shape, ...]:
        x = first(operands)
        return tuple(kind.shapes(attributes, (x, weight))[0] for weight in operands[1::2])

    def work(attributes: Attributes, operands: Operands, results: Sequence[Tensor]) -> Work:
        x, each = first(operands), []
        for weight, out in zip(operands[1::2], results, strict=True):
            each += [op for op, _ in kind.work(attributes, (x, weight), (out,))]
        lead = each[0]
        if isinstance(lead, Convolution):
            return ((replace(lead, filters=sum(op.filters for op in each if isinstance(op, Convolution))), 1),)
        assert isinstance(lead, Gemm)
        return ((replace(lead, n=sum(op.n for op in each if isinstance(op, Gemm))), 1),)

    return Kind(shapes, work)


PARALLEL = {"ParallelMatMul": _like(PRODUCT["MatMul"]), "ParallelConv": _like(CONVOLUTION["Conv"])}
