"""An ONNX graph under construction: nodes of opset 17, random weights, and small constants."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from simulator.errors import InputError
from simulator.workloads.graphs.graph import Graph, Node
from simulator.workloads.graphs.interchange.formats import BOOL, FLOATS, INT32, INT64, number_of
from simulator.workloads.graphs.interchange.loading import onnx_package
from simulator.workloads.graphs.tensor import Tensor, product

OPSET, IR_VERSION = 17, 8
POOL = 65_537  # random numbers that weights repeat from places of their own; a prime, so that rows differ
WRITTEN = (*FLOATS, INT64, INT32, BOOL)


class Writer:
    """Collects the protobufs of one graph; weights are normal random numbers of `seed`, 1/sqrt(inputs) wide."""

    def __init__(self, graph: Graph, seed: int) -> None:
        self.graph = graph
        self.onnx = onnx_package()
        self.nodes: list[Any] = []
        self.weights: dict[str, Any] = {}
        self._random = np.random.default_rng(seed)
        self._pool = self._random.standard_normal(POOL, dtype=np.float32)
        self._indices = _indices(graph)

    def add(
        self, type: str, inputs: Sequence[str], outputs: str | Sequence[str] | None = None, **attributes: Any
    ) -> str:
        """A node; gives its first result, which is named after the node's number where `outputs` is left out."""
        names = [outputs] if isinstance(outputs, str) else list(outputs or [f"/{type.lower()}_{len(self.nodes)}"])
        kept = {name: value for name, value in attributes.items() if value is not None}
        self.nodes.append(self.onnx.helper.make_node(type, list(inputs), names, name=f"{names[0]}/{type}", **kept))
        return names[0]

    def integers(self, values: ArrayLike) -> str:
        """A constant of integers, such as a shape."""
        return self._constant(np.asarray(values, dtype=np.int64))

    def number(self, value: ArrayLike, like: str) -> str:
        """A constant of the format of tensor `like`."""
        element = self.element(self.graph.tensors[like])
        return self._constant(np.asarray(value, dtype=self.onnx.helper.tensor_dtype_to_np_dtype(element)))

    def shape(self, name: str) -> tuple[int, ...]:
        """The sizes of a tensor. Raises `InputError` for graphs of several candidates."""
        sizes = self.graph.tensors[name].shape
        if any(np.ndim(size) for size in sizes):
            raise InputError(f"graph {self.graph.name} has arrays of sizes: write one candidate at a time")
        return tuple(int(size) for size in sizes)

    def element(self, tensor: Tensor) -> int:
        """The ONNX element type of a tensor. Raises `InputError` for formats whose numbers ONNX keeps with scales."""
        if tensor.name in self._indices:
            return INT64
        number = number_of(tensor.dtype)
        if number not in WRITTEN:
            raise InputError(
                f"tensor {tensor.name} is {tensor.dtype.name}: ONNX files are written in fp32, fp16 or bf16; "
                "write the graph before it is quantised"
            )
        return number

    def weight(self, name: str) -> str:
        """The name of an operand, whose random numbers are made at its first use where it is a weight."""
        tensor = self.graph.tensors[name] if name else None
        if tensor is None or not tensor.weight or name in self.weights:
            return name
        element, shape = self.element(tensor), self.shape(name)
        if element in (INT64, INT32, BOOL):
            values = np.zeros(shape, dtype=self.onnx.helper.tensor_dtype_to_np_dtype(element))
        else:
            spread = 1.0 / np.sqrt(max(float(product(shape[1:])), 1.0))
            numbers = np.resize(np.roll(self._pool, self._random.integers(POOL)) * np.float32(spread), shape)
            values = numbers.astype(self.onnx.helper.tensor_dtype_to_np_dtype(element), copy=False)
        self.weights[name] = self.onnx.numpy_helper.from_array(values, name)
        return name

    def value(self, name: str) -> Any:
        """The ValueInfoProto of an input or output."""
        tensor = self.graph.tensors[name]
        return self.onnx.helper.make_tensor_value_info(name, self.element(tensor), self.shape(name))

    def _constant(self, values: Any) -> str:
        name = f"/constant_{len(self.weights)}"
        self.weights[name] = self.onnx.numpy_helper.from_array(values, name)
        return name


def _indices(graph: Graph) -> set[str]:
    """Inputs and weights that only say which rows of a table are meant."""
    free = {*graph.inputs, *(t.name for t in graph.weights)}
    parts = [part for node in graph.nodes for part in node.parts]
    return {part.inputs[1] for part in parts if part.type == "Gather" and part.inputs[1] in free}


def refuse(node: Node, why: str) -> InputError:
    """What is wrong with a node that ONNX cannot say."""
    return InputError(f"node {node.name} ({node.type}) cannot be written as ONNX: {why}")
