"""Operators that make each number of a result from those at the same place of their operands."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import zip_longest

from simulator.workloads.graphs.kinds.kind import Attributes, Kind, Operands, Work, streamed
from simulator.workloads.graphs.tensor import Shape, Tensor
from simulator.workloads.operators import Size

# FLOPs of one result: 1 for an addition or a comparison, more where a polynomial stands in for a function, as in the
# usual vector libraries (exp about 8, tanh and erf about 12); they matter only where vector units are slow.
FLOPS = {
    "Add": 1, "Sub": 1, "Mul": 1, "Div": 4, "Max": 1, "Min": 1, "Sum": 1, "Pow": 8, "Mod": 4, "PRelu": 2,
    "Relu": 1, "LeakyRelu": 2, "Clip": 2, "HardSigmoid": 3, "HardSwish": 4, "Sigmoid": 10, "Tanh": 12, "Erf": 12,
    "Gelu": 16, "Silu": 11, "Mish": 24, "Elu": 9, "Selu": 9, "Celu": 9, "Softplus": 12, "Softsign": 5, "Exp": 8,
    "Log": 8, "Sqrt": 4, "Reciprocal": 4, "Neg": 1, "Abs": 1, "Sin": 12, "Cos": 12, "Floor": 1, "Ceil": 1, "Round": 1,
    "Sign": 1, "Where": 1, "Equal": 1, "Greater": 1, "GreaterOrEqual": 1, "Less": 1, "LessOrEqual": 1, "And": 1,
    "Or": 1, "Not": 1, "Xor": 1, "Cast": 0, "QuantizeLinear": 3, "DequantizeLinear": 2, "BiasGelu": 17, "FastGelu": 16,
    "ThresholdedRelu": 1, "IsNaN": 1, "BitShift": 1, "Dropout": 0,
    "IsInf": 1, "Mean": 1, "Asin": 12, "Acos": 12, "Atan": 12, "Sinh": 12, "Cosh": 12, "Asinh": 16, "Acosh": 16,
    "Atanh": 16, "Tan": 14, "Shrink": 2, "Swish": 11, "CastLike": 0, "BitwiseAnd": 1, "BitwiseOr": 1, "BitwiseXor": 1,
    "BitwiseNot": 1,
}  # fmt: skip
FUNCTION_FLOPS = 2  # what takes more than one operation is a kernel of its own, by the type's name


def broadcast(*shapes: Shape) -> Shape:
    """The shape of operands laid over each other: dimensions of 1 stretch (NumPy's rule)."""
    longest: list[Size] = []
    for sizes in zip_longest(*(reversed(s) for s in shapes), fillvalue=1):
        wide = [s for s in sizes if not (isinstance(s, int) and s == 1)]
        longest.append(wide[0] if wide else 1)
    return tuple(reversed(longest))


def _shapes(attributes: Attributes, operands: Operands) -> tuple[Shape, ...]:
    return (broadcast(*(t.shape for t in operands if t is not None)),)


def _kernel(type: str, flops: float) -> str:
    return type.lower() if flops >= FUNCTION_FLOPS else "elementwise"


def _work(flops: float, kernel: str) -> Callable[[Attributes, Operands, Sequence[Tensor]], Work]:
    return partial(_streamed, flops, kernel)


def _streamed(flops: float, kernel: str, attributes: Attributes, operands: Operands, results: Sequence[Tensor]) -> Work:
    return streamed(operands, results, flops, kernel)


ELEMENTWISE = {
    name: Kind(_shapes, _work(float(flops), _kernel(name, flops)), pointwise=True) for name, flops in FLOPS.items()
}
