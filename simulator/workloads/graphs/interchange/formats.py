"""Element types of ONNX tensors as number formats."""

from __future__ import annotations

from simulator.workloads.dtypes import DTYPES, DType
from simulator.workloads.graphs.tensor import FP32


def _plain(name: str, bits: float) -> DType:
    """Numbers that only vector units work on, as they do on fp32."""
    return DType(name, bits, "fp32")


# By the numbers of TensorProto.DataType (onnx.proto). Products of 8-bit numbers run on int8 units; weights of 4 bits
# are widened first.
ELEMENTS: dict[int, DType] = {
    1: FP32, 10: DTYPES["fp16"], 16: DTYPES["bf16"], 11: _plain("fp64", 64),
    2: DType("uint8", 8, "int8"), 3: DType("int8", 8, "int8"), 4: _plain("uint16", 16), 5: _plain("int16", 16),
    6: _plain("int32", 32), 7: _plain("int64", 64), 12: _plain("uint32", 32), 13: _plain("uint64", 64),
    8: _plain("string", 128), 9: _plain("bool", 8), 14: _plain("complex64", 64), 15: _plain("complex128", 128),
    17: DTYPES["fp8"], 18: DTYPES["fp8"], 19: DTYPES["fp8"], 20: DTYPES["fp8"],
    21: DTYPES["int4"], 22: DTYPES["int4"], 23: DTYPES["mxfp4"],
}  # fmt: skip
FLOATS = (1, 10, 16, 11)
UNDEFINED, FLOAT, INT32, INT64, BOOL = 0, 1, 6, 7, 9


def element(number: int) -> DType:
    """The format of an element type, fp32 where the file leaves it open."""
    return ELEMENTS.get(number, FP32)


def number_of(format: DType) -> int:
    """The element type that a format is written as, undefined where ONNX has none."""
    return next((number for number, known in ELEMENTS.items() if known.name == format.name), UNDEFINED)
