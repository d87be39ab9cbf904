"""Products and pointwise operators on 8-bit and 4-bit numbers: ONNX's own, and ONNX Runtime's (com.microsoft).

Scales and zero points are operands; they are too small to count as traffic.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from simulator.workloads.dtypes import DTYPES
from simulator.workloads.graphs.kinds.convolution import CONVOLUTION
from simulator.workloads.graphs.kinds.elementwise import FLOPS, broadcast
from simulator.workloads.graphs.kinds.kind import Attributes, Kind, Operands, Work, first, same_shape, streamed
from simulator.workloads.graphs.kinds.movement import MOVEMENT
from simulator.workloads.graphs.kinds.normalisation import NORMALISATION
from simulator.workloads.graphs.kinds.pooling import POOLING
from simulator.workloads.graphs.kinds.product import PRODUCT
from simulator.workloads.graphs.kinds.recurrent import RECURRENT
from simulator.workloads.graphs.tensor import Shape, Tensor
from simulator.workloads.operators import Gemm

Chosen = Callable[[Operands], Operands]


def _at(*places: int) -> Chosen:
    """Those operands that are not scales or zero points."""
    return lambda operands: [operands[p] for p in places if p < len(operands)]


def _like(kind: Kind, chosen: Chosen) -> Kind:
    """A type that works as another does on the chosen ones of its operands."""

    def shapes(attributes: Attributes, operands: Operands) -> tuple[Shape, ...]:
        return kind.shapes(attributes, chosen(operands))

    def work(attributes: Attributes, operands: Operands, results: Sequence[Tensor]) -> Work:
        return kind.work(attributes, chosen(operands), results)

    return replace(kind, shapes=shapes, work=work)


def _dynamic_shapes(attributes: Attributes, operands: Operands) -> tuple[Shape, ...]:
    """Numbers in 8 bits, their scale and their zero point."""
    return first(operands).shape, (), ()


def _dynamic_work(attributes: Attributes, operands: Operands, results: Sequence[Tensor]) -> Work:
    """One pass for the least and the greatest number, one that rounds."""
    return streamed(operands, results[:1], 5.0, reads=2.0 * first(operands).bytes)


def _blocks_shapes(attributes: Attributes, operands: Operands) -> tuple[Shape, ...]:
    return ((*first(operands).shape[:-1], attributes["N"]),)


def _blocks_work(attributes: Attributes, operands: Operands, results: Sequence[Tensor]) -> Work:
    """A product with weights in `bits` bits and a scale for each block of them (com.microsoft MatMulNBits)."""
    x, k, n = first(operands), attributes["K"], attributes["N"]
    bits, block = attributes.get("bits", 4), attributes.get("block_size", 32)
    zero = bits if len(operands) > 3 and operands[3] is not None else 0
    stored = replace(
        DTYPES["int4"], name=f"int{bits}", bits=bits, compute=x.dtype.compute, scale_bits=x.dtype.bits + zero,
        group=block, source="com.microsoft MatMulNBits",
    )  # fmt: skip
    return ((Gemm(x.elements / k, n, k, stored, x.dtype), 1),)


def _joined_shapes(attributes: Attributes, operands: Operands) -> tuple[Shape, ...]:
    return (broadcast(first(operands).shape, operands[3].shape if operands[3] else ()),)


def _concatenated(operands: Operands) -> Operands:
    """The first of every three behind the result's scale and zero point (com.microsoft QLinearConcat)."""
    return operands[2::3]


def _streams(flops: float) -> Callable[[Attributes, Operands, Sequence[Tensor]], Work]:
    return lambda attributes, operands, results: streamed(operands, results, flops)


QUANTISED = {
    "QLinearConv": _like(CONVOLUTION["Conv"], _at(0, 3)),
    "ConvInteger": _like(CONVOLUTION["Conv"], _at(0, 1)),
    "QLinearMatMul": _like(PRODUCT["MatMul"], _at(0, 3)),
    "MatMulInteger": _like(PRODUCT["MatMul"], _at(0, 1)),
    "MatMulIntegerToFloat": _like(PRODUCT["MatMul"], _at(0, 1)),
    "DynamicQuantizeMatMul": _like(PRODUCT["MatMul"], _at(0, 1)),
    "QGemm": _like(PRODUCT["Gemm"], _at(0, 3)),
    "MatMulNBits": Kind(_blocks_shapes, _blocks_work),
    "DynamicQuantizeLSTM": RECURRENT["LSTM"],
    "DynamicQuantizeLinear": Kind(_dynamic_shapes, _dynamic_work),
    "QLinearAdd": Kind(_joined_shapes, _streams(5.0)),
    "QLinearMul": Kind(_joined_shapes, _streams(5.0)),
    "QLinearSigmoid": Kind(same_shape, _streams(FLOPS["Sigmoid"]), pointwise=True),
    "QLinearLeakyRelu": Kind(same_shape, _streams(FLOPS["LeakyRelu"]), pointwise=True),
    "QLinearSoftmax": _like(NORMALISATION["Softmax"], _at(0)),
    "QLinearGlobalAveragePool": _like(POOLING["GlobalAveragePool"], _at(0)),
    "QLinearAveragePool": _like(POOLING["AveragePool"], _at(0)),
    "QLinearReduceMean": _like(POOLING["ReduceMean"], _at(0)),
    "QLinearConcat": _like(MOVEMENT["Concat"], _concatenated),
}
