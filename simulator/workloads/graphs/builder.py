"""Build a graph node by node: each method adds an operator and gives the name of its result."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.workloads.dtypes import DType, dtype
from simulator.workloads.graphs.graph import Graph, Node
from simulator.workloads.graphs.kinds import KINDS
from simulator.workloads.graphs.tensor import FP32, Shape, Tensor
from simulator.workloads.operators import Size


class Builder:
    """Collects the nodes of a graph; shapes follow from the operators' types.

    Images are (batch, channels, height, width), sequences (batch, tokens, width). Sizes may be arrays over candidates.
    """

    def __init__(self, name: str, format: str | DType = FP32) -> None:
        self.name = name
        self.dtype = dtype(format)
        self._tensors: dict[str, Tensor] = {}
        self._nodes: list[Node] = []
        self._inputs: list[str] = []
        self._repeat: Size = 1
        self._scope = ""

    def input(self, *shape: Size, name: str = "input", format: str | DType | None = None) -> str:
        """An input of the graph."""
        self._inputs.append(self._tensor(name, shape, dtype(format) if format else self.dtype))
        return name

    def weight(self, *shape: Size, name: str | None = None) -> str:
        """A weight by itself, to be an operand of nodes that are added later."""
        return self._tensor(name or f"weight_{len(self._tensors)}", shape, self.dtype, weight=True)

    def shape(self, x: str) -> Shape:
        return self._tensors[x].shape

    def channels(self, x: str) -> Size:
        """The second dimension of an image."""
        return self.shape(x)[1]

    @contextmanager
    def repeated(self, times: float | np.bool_ | NDArray[Any]) -> Iterator[None]:
        """Nodes added inside run so many times (arrays of truth values leave them out for some candidates)."""
        before = self._repeat
        if np.ndim(times) or times != 1:
            self._repeat = before * np.asarray(times, dtype=np.float64)[()]
        yield
        self._repeat = before

    def scope(self, name: str) -> None:
        """Names of nodes from here on begin with this, as in "stage_2/conv_17"; nothing for an empty name."""
        self._scope = f"{name}/" if name else ""

    def add_node(
        self,
        type: str,
        operands: Sequence[str],
        *,
        weights: Sequence[Shape] = (),
        outputs: int = 1,
        name: str | None = None,
        **attributes: Any,
    ) -> str:
        """A node of any known type, with weights of these shapes behind its operands. Gives its first result."""
        label = f"{self._scope}{name or f'{type.lower()}_{len(self._nodes)}'}"
        names = list(operands)
        for number, shape in enumerate(weights):
            names.append(self._tensor(f"{label}.weight_{number}", shape, self.dtype, weight=True))
        shapes = KINDS[type].shapes(attributes, [self._tensors[n] if n else None for n in names])
        results = [f"{label}.{i}" if i else label for i in range(max(outputs, len(shapes)))]
        kind = self._tensors[operands[0]].dtype if not self._tensors[operands[0]].weight else self.dtype
        for result, shape in zip(results, shapes, strict=True):
            self._tensor(result, shape, kind)
        self._nodes.append(Node(label, type, tuple(names), tuple(results), attributes, self._repeat))
        return results[0]

    def again(self, result: str, *operands: str) -> str:
        """The operator that gave `result`, with the same weights, on other operands."""
        node = next(n for n in reversed(self._nodes) if n.outputs[0] == result)
        weights = [n for n in node.inputs if n and self._tensors[n].weight]
        return self.add_node(node.type, [*operands, *weights], outputs=len(node.outputs), **node.attributes)

    def build(self, *outputs: str) -> Graph:
        """The finished graph."""
        return Graph(self.name, dict(self._tensors), tuple(self._nodes), tuple(self._inputs), outputs)

    # images

    def conv(
        self,
        x: str,
        filters: Size,
        kernel: int | tuple[int, ...] = 1,
        stride: int | tuple[int, ...] = 1,
        groups: Size = 1,
        *,
        bias: bool = False,
        pad: int | None = None,
        dilation: int = 1,
        name: str | None = None,
    ) -> str:
        """A convolution; edges padded by half the (dilated) window unless `pad` is given."""
        dims = len(self.shape(x)) - 2
        window = kernel if isinstance(kernel, tuple) else (kernel,) * dims
        steps = stride if isinstance(stride, tuple) else (stride,) * dims
        pads = [dilation * (k - 1) // 2 if pad is None else pad for k in window]
        weights: list[Shape] = [(filters, self.channels(x) // groups, *window)]
        return self.add_node(
            "Conv", [x], weights=[*weights, (filters,)] if bias else weights, name=name,
            strides=list(steps), pads=[*pads, *pads], dilations=[dilation] * dims, group=groups,
        )  # fmt: skip

    def deconv(
        self, x: str, filters: Size, kernel: int, stride: int, *, pad: int = 0, bias: bool = True, groups: int = 1
    ) -> str:
        """A transposed convolution."""
        dims = len(self.shape(x)) - 2
        weights: list[Shape] = [(self.channels(x), filters // groups, *(kernel,) * dims)]
        return self.add_node(
            "ConvTranspose", [x], weights=[*weights, (filters,)] if bias else weights,
            strides=[stride] * dims, pads=[pad] * 2 * dims, group=groups,
        )  # fmt: skip

    def batch_norm(self, x: str) -> str:
        """Batch norm with known statistics; factor and term are parameters, mean and variance are not."""
        return self.add_node("BatchNormalization", [x], weights=[(self.channels(x),)] * 2)

    def group_norm(self, x: str, groups: int = 32) -> str:
        return self.add_node("GroupNormalization", [x], weights=[(self.channels(x),)] * 2, num_groups=groups)

    def max_pool(self, x: str, kernel: int, stride: int, pad: int = 0, *, ceil: bool = False) -> str:
        return self._pool("MaxPool", x, kernel, stride, pad, ceil)

    def average_pool(self, x: str, kernel: int, stride: int, pad: int = 0, *, ceil: bool = False) -> str:
        return self._pool("AveragePool", x, kernel, stride, pad, ceil)

    def global_pool(self, x: str) -> str:
        """Mean over all positions, (batch, channels)."""
        return self.add_node("Flatten", [self.add_node("GlobalAveragePool", [x])], axis=1)

    def upsample(self, x: str, factor: int = 2, mode: str = "nearest") -> str:
        dims = len(self.shape(x)) - 2
        return self.add_node("Resize", [x], scales=[1, 1, *[factor] * dims], mode=mode)

    # sequences and vectors

    def linear(self, x: str, width: Size, *, bias: bool = True, name: str | None = None) -> str:
        """A product of the last dimension with a matrix, and a term."""
        weights: list[Shape] = [(self.shape(x)[-1], width)]
        y = self.add_node("MatMul", [x], weights=weights, name=name)
        return self.add_node("Add", [y], weights=[(width,)]) if bias else y

    def matmul(self, a: str, b: str) -> str:
        """A product of two activations."""
        return self.add_node("MatMul", [a, b])

    def layer_norm(self, x: str, *, bias: bool = True) -> str:
        return self.add_node("LayerNormalization", [x], weights=[(self.shape(x)[-1],)] * (2 if bias else 1), axis=-1)

    def rms_norm(self, x: str) -> str:
        return self.add_node("RMSNormalization", [x], weights=[(self.shape(x)[-1],)])

    def attention(self, query: str, key: str, value: str, *, table: Shape | None = None, **attributes: Any) -> str:
        """Softmax attention of (..., heads, tokens, width), with a table of terms of the scores if given."""
        return self.add_node("Attention", [query, key, value], weights=[table] if table else [], **attributes)

    def embedding(self, rows: str, vocabulary: Size, width: Size) -> str:
        """Rows of a table of weights, picked by an operand of indices."""
        table = self._tensor(f"table_{len(self._nodes)}", (vocabulary, width), self.dtype, weight=True)
        return self.add_node("Gather", [table, rows], axis=0)

    def lstm(self, x: str, hidden: int, *, type: str = "LSTM", bidirectional: bool = False) -> str:
        """A recurrent layer on (time, batch, features); gives (time, batch, directions * hidden)."""
        gates = {"LSTM": 4, "GRU": 3, "RNN": 1}[type]
        steps, batch, features = self.shape(x)
        ways = 2 if bidirectional else 1
        y = self.add_node(
            type, [x],
            weights=[(ways, gates * hidden, features), (ways, gates * hidden, hidden), (ways, 2 * gates * hidden)],
            hidden_size=hidden, direction="bidirectional" if bidirectional else "forward",
        )  # fmt: skip
        return self.reshape(y, steps, batch, ways * hidden)

    # any

    def act(self, x: str, type: str = "Relu") -> str:
        """An activation function by its type: "Relu", "HardSwish", "Gelu", ..."""
        return self.add_node(type, [x])

    def add(self, *operands: str) -> str:
        return self.add_node("Add" if len(operands) == 2 else "Sum", list(operands))

    def mul(self, a: str, b: str) -> str:
        return self.add_node("Mul", [a, b])

    def concat(self, operands: Sequence[str], axis: int = 1) -> str:
        return self.add_node("Concat", list(operands), axis=axis)

    def split(self, x: str, count: int, axis: int = 1) -> list[str]:
        """Equal pieces."""
        first = self.add_node("Split", [x], outputs=count, axis=axis, num_outputs=count)
        return [first, *(f"{first}.{i}" for i in range(1, count))]

    def reshape(self, x: str, *shape: Size) -> str:
        return self.add_node("Reshape", [x], shape=list(shape))

    def transpose(self, x: str, *order: int) -> str:
        return self.add_node("Transpose", [x], perm=list(order))

    def softmax(self, x: str) -> str:
        return self.add_node("Softmax", [x], axis=-1)

    def mean(self, x: str, *axes: int, keep: bool = False) -> str:
        return self.add_node("ReduceMean", [x], axes=list(axes), keepdims=int(keep))

    def _pool(self, type: str, x: str, kernel: int, stride: int, pad: int, ceil: bool) -> str:
        dims = len(self.shape(x)) - 2
        return self.add_node(
            type, [x], kernel_shape=[kernel] * dims, strides=[stride] * dims, pads=[pad] * 2 * dims, ceil_mode=int(ceil)
        )

    def _tensor(self, name: str, shape: Shape, kind: DType, *, weight: bool = False) -> str:
        self._tensors[name] = Tensor(
            name, tuple(s if isinstance(s, int) or np.ndim(s) else int(s) for s in shape), kind, weight
        )
        return name
