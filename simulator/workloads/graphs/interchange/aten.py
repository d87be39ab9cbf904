"""PyTorch's ATen operators as types of graphs: what each reads, and its attributes.

Signatures: PyTorch, aten/src/ATen/native/native_functions.yaml.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

Args = Sequence[Any]


@dataclass(frozen=True, slots=True)
class Mapped:
    """A type, the arguments that are its operands, and its attributes; `shape` asks for the result's as one."""

    type: str
    operands: Sequence[Any]
    attributes: dict[str, Any] = field(default_factory=dict)
    shape: str = ""


Rule = Callable[[Args], Mapped]


def _at(args: Args, place: int, usual: Any = None) -> Any:
    return args[place] if place < len(args) and args[place] is not None else usual


def _each(value: Any) -> list[int]:
    return list(value) if isinstance(value, list | tuple) else [value]


def _window(args: Args, strides: int, pads: int, dilations: int, groups: int) -> dict[str, Any]:
    """Attributes of a convolution by the places of its arguments; one number stands for all dimensions."""
    return {
        "strides": _each(_at(args, strides, 1)), "pads": _each(_at(args, pads, 0)) * 2,
        "dilations": _each(_at(args, dilations, 1)), "group": _at(args, groups, 1),
    }  # fmt: skip


def _conv(args: Args) -> Mapped:
    return Mapped("Conv", args[:3], _window(args, 3, 4, 5, 6))


def _convolution(args: Args) -> Mapped:
    """Core ATen's only convolution: strides, pads, dilations, transposed, output padding, groups."""
    return Mapped("ConvTranspose" if args[6] else "Conv", args[:3], _window(args, 3, 4, 5, 8))


def _deconv(args: Args) -> Mapped:
    return Mapped("ConvTranspose", args[:3], _window(args, 3, 4, 7, 6))


def _max_pool(args: Args) -> Mapped:
    kernel = _each(args[1])
    strides = _each(_at(args, 2)) if _at(args, 2) else kernel
    return Mapped("MaxPool", args[:1], {"kernel_shape": kernel, "strides": strides})


def _average_pool(args: Args) -> Mapped:
    kernel = _each(args[1])
    return Mapped("AveragePool", args[:1], {"kernel_shape": kernel, "strides": _each(_at(args, 2)) or kernel})


def _reduce(type: str) -> Rule:
    def rule(args: Args) -> Mapped:
        axes = _each(args[1]) if _at(args, 1) is not None else []
        return Mapped(type, args[:1], {"axes": axes, "keepdims": int(bool(_at(args, 2, False)))})

    return rule


def _pointwise(type: str, operands: int = 3) -> Rule:
    return lambda args: Mapped(type, args[:operands])


def _renamed(args: Args) -> Mapped:
    return Mapped("Reshape", args[:1], shape="shape")


def _copied(args: Args) -> Mapped:
    return Mapped("Expand", args[:1], shape="shape")


def _made(args: Args) -> Mapped:
    return Mapped("ConstantOfShape", (), shape="shape")


def _resized(mode: str) -> Rule:
    return lambda args: Mapped("Resize", args[:1], {"mode": mode}, shape="sizes")


def _concatenated(args: Args) -> Mapped:
    return Mapped("Concat", args[0], {"axis": _at(args, 1, 0)})


VIEWS = (
    "view", "reshape", "_unsafe_view", "flatten", "unflatten", "squeeze", "unsqueeze", "expand", "select", "slice",
    "narrow", "detach", "alias", "contiguous", "dropout", "lift_fresh_copy", "view_as", "expand_as", "dropout_",
)  # fmt: skip
TRANSPOSED = ("t", "transpose", "permute", "numpy_T", "mT", "swapaxes")
MADE = (
    "arange", "full", "zeros", "ones", "scalar_tensor", "empty", "eye", "full_like", "zeros_like", "ones_like",
)  # fmt: skip
LINEAR, GATED = "linear", "glu"
RECURRENT = {"lstm": "LSTM", "gru": "GRU", "rnn_tanh": "RNN", "rnn_relu": "RNN"}
_POINTWISE = {
    "add": "Add", "sub": "Sub", "rsub": "Sub", "mul": "Mul", "div": "Div", "maximum": "Max", "minimum": "Min",
    "relu": "Relu", "gelu": "Gelu", "silu": "Silu", "hardswish": "HardSwish", "hardsigmoid": "HardSigmoid",
    "sigmoid": "Sigmoid", "tanh": "Tanh", "leaky_relu": "LeakyRelu", "elu": "Elu", "mish": "Mish", "erf": "Erf",
    "softplus": "Softplus", "hardtanh": "Clip", "clamp": "Clip", "relu6": "Clip", "prelu": "PRelu", "exp": "Exp",
    "log": "Log", "sqrt": "Sqrt", "rsqrt": "Sqrt", "reciprocal": "Reciprocal", "pow": "Pow", "neg": "Neg", "abs": "Abs",
    "sin": "Sin", "cos": "Cos", "where": "Where", "masked_fill": "Where", "eq": "Equal", "ne": "Equal", "gt": "Greater",
    "ge": "GreaterOrEqual", "lt": "Less", "le": "LessOrEqual", "logical_not": "Not", "logical_and": "And",
    "logical_or": "Or", "bitwise_not": "Not", "_to_copy": "Cast", "to": "Cast", "floor": "Floor", "round": "Round",
}  # fmt: skip

RULES: dict[str, Rule] = {
    **{name: _pointwise(type) for name, type in _POINTWISE.items()},
    **dict.fromkeys((*VIEWS, *TRANSPOSED), _renamed),
    **dict.fromkeys(("clone", "repeat", "roll", "flip", "constant_pad_nd", "pad"), _copied),
    **dict.fromkeys(MADE, _made),
    **dict.fromkeys(("conv1d", "conv2d", "conv3d"), _conv),
    **dict.fromkeys(("conv_transpose1d", "conv_transpose2d", "conv_transpose3d"), _deconv),
    "convolution": _convolution,
    **dict.fromkeys(("max_pool1d", "max_pool2d", "max_pool3d", "max_pool2d_with_indices"), _max_pool),
    **dict.fromkeys(("avg_pool1d", "avg_pool2d", "avg_pool3d"), _average_pool),
    **{name: lambda args: Mapped("AdaptiveAveragePool", args[:1], {"output_size": _each(args[1])})
       for name in ("adaptive_avg_pool1d", "adaptive_avg_pool2d", "_adaptive_avg_pool2d")},
    "matmul": _pointwise("MatMul", 2), "mm": _pointwise("MatMul", 2), "bmm": _pointwise("MatMul", 2),
    "addmm": lambda args: Mapped("Gemm", (args[1], args[2], args[0])),
    "einsum": lambda args: Mapped("Einsum", args[1], {"equation": args[0]}),
    "embedding": lambda args: Mapped("Gather", args[:2], {"axis": 0}),
    "batch_norm": lambda args: Mapped("BatchNormalization", args[:3]),
    "_native_batch_norm_legit_no_training": lambda args: Mapped("BatchNormalization", args[:3]),
    "layer_norm": lambda args: Mapped("LayerNormalization", (args[0], *args[2:4]), {"axis": -len(args[1])}),
    "native_layer_norm": lambda args: Mapped("LayerNormalization", (args[0], *args[2:4]), {"axis": -len(args[1])}),
    "rms_norm": lambda args: Mapped("RMSNormalization", (args[0], *args[2:3])),
    "group_norm": lambda args: Mapped("GroupNormalization", (args[0], *args[2:4]), {"num_groups": args[1]}),
    "instance_norm": lambda args: Mapped("InstanceNormalization", args[:3]),
    "native_group_norm": lambda args: Mapped("GroupNormalization", args[:3], {"num_groups": args[6]}),
    "softmax": lambda args: Mapped("Softmax", args[:1], {"axis": args[1]}),
    "_softmax": lambda args: Mapped("Softmax", args[:1], {"axis": args[1]}),
    "log_softmax": lambda args: Mapped("LogSoftmax", args[:1], {"axis": args[1]}),
    "_log_softmax": lambda args: Mapped("LogSoftmax", args[:1], {"axis": args[1]}),
    "scaled_dot_product_attention": lambda args: Mapped("Attention", args[:3]),
    "_scaled_dot_product_flash_attention_for_cpu": lambda args: Mapped("Attention", args[:3]),
    "_scaled_dot_product_flash_attention": lambda args: Mapped("Attention", args[:3]),
    "mean": _reduce("ReduceMean"), "sum": _reduce("ReduceSum"), "amax": _reduce("ReduceMax"),
    "amin": _reduce("ReduceMin"), "cat": _concatenated, "stack": _concatenated,
    "upsample_nearest2d": _resized("nearest"), "upsample_bilinear2d": _resized("linear"),
    "pixel_shuffle": _copied, "cumsum": _pointwise("CumSum", 1), "tril": _pointwise("Trilu", 1),
    "triu": _pointwise("Trilu", 1), "gather": lambda args: Mapped("GatherElements", (args[0], args[2])),
}  # fmt: skip
