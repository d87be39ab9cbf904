"""What is known of a tensor while a file is read: its shape, its type, and its numbers where they are few and fixed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.workloads.dtypes import DType
from simulator.workloads.graphs.interchange.formats import element
from simulator.workloads.graphs.interchange.loading import onnx_package
from simulator.workloads.graphs.tensor import Tensor

Array = NDArray[Any]
MOST_NUMBERS = 10_000  # of a constant whose numbers are kept; shape arithmetic needs few


@dataclass(frozen=True, slots=True, eq=False)
class Fact:
    """A tensor of the file. `name` is its name in the graph; `constant` ones are the same in each run.

    `type` is its ONNX element type; `stored` how its numbers are kept where that differs, as of weights that are
    dequantised on the way to their product.
    """

    name: str
    shape: tuple[int, ...]
    type: int
    constant: bool = False
    value: Array | None = None
    stored: DType | None = None

    @property
    def elements(self) -> int:
        return int(np.prod(self.shape, dtype=np.int64))

    def tensor(self) -> Tensor:
        return Tensor(self.name, self.shape, self.stored or element(self.type), self.constant)

    def proto(self) -> Any:
        """Its TypeProto."""
        return onnx_package().helper.make_tensor_type_proto(self.type or 1, self.shape)


Scope = Mapping[str, Fact]


def constant(name: str, value: Array) -> Fact:
    """A fixed tensor with these numbers, kept where they are few."""
    onnx = onnx_package()
    type = onnx.helper.np_dtype_to_tensor_dtype(value.dtype)
    return Fact(name, tuple(value.shape), int(type), True, value if value.size <= MOST_NUMBERS else None)
