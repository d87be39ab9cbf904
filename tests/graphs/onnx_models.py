"""Small real architectures made with onnx.helper, and the multiply-adds and parameters worked out by hand."""

from dataclasses import dataclass, field

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


@dataclass
class Net:
    """Collects the nodes and weights of an ONNX graph."""

    opset: int = 17
    nodes: list = field(default_factory=list)
    weights: list = field(default_factory=list)
    domains: tuple = ()

    def weight(self, *shape, dtype=np.float32):
        name = f"w{len(self.weights)}"
        values = np.random.default_rng(len(self.weights)).standard_normal(shape) * 0.1
        self.weights.append(numpy_helper.from_array(values.astype(dtype), name))
        return name

    def numbers(self, *values, dtype=np.int64):
        name = f"c{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.array(values, dtype=dtype), name))
        return name

    def scalar(self, value, dtype=np.int64):
        name = f"s{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.array(value, dtype=dtype), name))
        return name

    def node(self, type, *inputs, outputs=1, domain="", **attributes):
        names = [f"t{len(self.nodes)}_{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(type, list(inputs), names, domain=domain, **attributes))
        return names[0] if outputs == 1 else names

    def model(self, inputs, outputs, types=None):
        """Inputs by name with their shapes; texts in these are open dimensions."""
        types = types or {}
        graph = helper.make_graph(
            self.nodes, "net",
            [helper.make_tensor_value_info(n, types.get(n, TensorProto.FLOAT), s) for n, s in inputs.items()],
            [helper.make_empty_tensor_value_info(n) for n in outputs], self.weights,
        )  # fmt: skip
        imports = [helper.make_opsetid("", self.opset), *(helper.make_opsetid(d, 1) for d in self.domains)]
        return helper.make_model(graph, opset_imports=imports, ir_version=8)


def lenet():
    """LeNet-5 on 32 x 32 (LeCun et al. 1998), all feature maps joined: multiply-adds layer by layer."""
    n = Net()
    x = n.node("Tanh", n.node("Conv", "x", n.weight(6, 1, 5, 5), n.weight(6)))
    x = n.node("AveragePool", x, kernel_shape=[2, 2], strides=[2, 2])
    x = n.node("Tanh", n.node("Conv", x, n.weight(16, 6, 5, 5), n.weight(16)))
    x = n.node("Flatten", n.node("AveragePool", x, kernel_shape=[2, 2], strides=[2, 2]))
    for width, features in ((120, 400), (84, 120), (10, 84)):
        x = n.node("Gemm", x, n.weight(width, features), n.weight(width), transB=1)
    macs = 28 * 28 * 6 * 25 + 10 * 10 * 16 * 6 * 25 + 400 * 120 + 120 * 84 + 84 * 10
    return n.model({"x": ["batch", 1, 32, 32]}, [x]), {"batch": 1}, macs, 61_706


def encoder(batch=2, seq=24, width=32, heads=4):
    """A transformer encoder layer as PyTorch exports it: heads split by shapes that are worked out at run time."""
    n = Net()

    def size(x, axis):
        return n.node("Gather", n.node("Shape", x), n.scalar(axis))

    def split(y):
        parts = [n.node("Unsqueeze", size(y, axis), n.numbers(0)) for axis in (0, 1)]
        shape = n.node("Concat", *parts, n.numbers(heads), n.numbers(width // heads), axis=0)
        return n.node("Transpose", n.node("Reshape", y, shape), perm=[0, 2, 1, 3])

    def linear(x, features, out):
        return n.node("Add", n.node("MatMul", x, n.weight(features, out)), n.weight(out))

    q, k, v = (split(linear("x", width, width)) for _ in range(3))
    scores = n.node("Softmax", n.node("MatMul", q, n.node("Transpose", k, perm=[0, 1, 3, 2])), axis=-1)
    y = n.node("Transpose", n.node("MatMul", scores, v), perm=[0, 2, 1, 3])
    y = linear(n.node("Reshape", y, n.numbers(0, 0, width)), width, width)
    y = n.node("LayerNormalization", n.node("Add", "x", y), n.weight(width), n.weight(width))
    z = linear(n.node("Relu", linear(y, width, 4 * width)), 4 * width, width)
    z = n.node("LayerNormalization", n.node("Add", y, z), n.weight(width), n.weight(width))
    tokens = batch * seq
    macs = tokens * (4 * width * width + 8 * width * width) + 2 * batch * seq * seq * width
    parameters = 4 * (width * width + width) + 8 * width * width + 5 * width + 4 * width
    return n.model({"x": ["batch", "seq", width]}, [z]), {"batch": batch, "seq": seq}, macs, parameters


def tagger(seq=12, batch=3, features=20, hidden=16):
    """A bidirectional LSTM and a GRU behind it, as onnx lays them out."""
    n = Net()
    y = n.node(
        "LSTM", "x", n.weight(2, 4 * hidden, features), n.weight(2, 4 * hidden, hidden), n.weight(2, 8 * hidden),
        hidden_size=hidden, direction="bidirectional",
    )  # fmt: skip
    y = n.node("Reshape", n.node("Transpose", y, perm=[0, 2, 1, 3]), n.numbers(0, 0, 2 * hidden))
    y = n.node("GRU", y, n.weight(1, 3 * hidden, 2 * hidden), n.weight(1, 3 * hidden, hidden), hidden_size=hidden)
    tokens = seq * batch
    macs = tokens * (2 * 4 * hidden * (features + hidden) + 3 * hidden * 3 * hidden)
    parameters = 2 * 4 * hidden * (features + hidden + 2) + 3 * hidden * 3 * hidden
    return n.model({"x": ["seq", "batch", features]}, [y]), {"seq": seq, "batch": batch}, macs, parameters


def unet(size=32):
    """Down by stride and up by a transposed convolution, joined to what was there before; then resized by two."""
    n = Net()
    a = n.node("Relu", n.node("Conv", "x", n.weight(8, 3, 3, 3), n.weight(8), pads=[1] * 4))
    b = n.node("Relu", n.node("Conv", a, n.weight(16, 8, 3, 3), n.weight(16), pads=[1] * 4, strides=[2, 2]))
    up = n.node("ConvTranspose", b, n.weight(16, 8, 2, 2), n.weight(8), strides=[2, 2])
    y = n.node("Conv", n.node("Concat", a, up, axis=1), n.weight(4, 16, 1, 1))
    scales = n.numbers(1.0, 1.0, 2.0, 2.0, dtype=np.float32)
    y = n.node("Resize", y, "", scales, mode="linear")
    half = size // 2
    macs = size * size * 8 * 27 + half * half * 16 * 72 + half * half * 16 * 8 * 4 + size * size * 4 * 16
    parameters = 8 * 27 + 8 + 16 * 72 + 16 + 16 * 8 * 4 + 8 + 64
    return n.model({"x": [1, 3, size, size]}, [y]), {}, macs, parameters


def inverted_residual(size=28, channels=16, wide=64):
    """MobileNetV3's block with squeeze and excitation (Howard et al., arXiv:1905.02244)."""
    n = Net()
    y = n.node("HardSwish", n.node("Conv", "x", n.weight(wide, channels, 1, 1)))
    y = n.node("HardSwish", n.node("Conv", y, n.weight(wide, 1, 5, 5), group=wide, pads=[2] * 4))
    s = n.node("ReduceMean", y, axes=[2, 3])
    s = n.node("Relu", n.node("Conv", s, n.weight(wide // 4, wide, 1, 1), n.weight(wide // 4)))
    s = n.node("HardSigmoid", n.node("Conv", s, n.weight(wide, wide // 4, 1, 1), n.weight(wide)))
    y = n.node("Add", "x", n.node("Conv", n.node("Mul", y, s), n.weight(channels, wide, 1, 1)))
    squeeze = 2 * wide * wide // 4
    macs = size * size * (2 * channels * wide + 25 * wide) + squeeze
    parameters = 2 * channels * wide + 25 * wide + squeeze + wide + wide // 4
    return n.model({"x": [1, channels, size, size]}, [y]), {}, macs, parameters


def mixer(patches=49, width=24):
    """An MLP-Mixer block (Tolstikhin et al., arXiv:2105.01601) written with einsum."""
    n = Net()
    y = n.node("Einsum", "x", n.weight(patches, 2 * patches), equation="bpc,pq->bqc")
    y = n.node("Einsum", n.node("Relu", y), n.weight(2 * patches, patches), equation="bqc,qp->bpc")
    z = n.node("MatMul", n.node("Add", "x", y), n.weight(width, width))
    return (
        n.model({"x": [2, patches, width]}, [z]),
        {},
        2 * (4 * patches**2 * width + patches * width**2),
        (4 * patches**2 + width**2),
    )


def squeezed():
    """A fire module (Iandola et al., arXiv:1602.07360) with split, padding and pooling."""
    n = Net(opset=18)
    x = n.node("MaxPool", "x", kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1)
    s = n.node("Relu", n.node("Conv", x, n.weight(8, 32, 1, 1)))
    a = n.node("Conv", s, n.weight(16, 8, 1, 1))
    b = n.node("Conv", n.node("Pad", s, n.numbers(0, 0, 1, 1, 0, 0, 1, 1)), n.weight(16, 8, 3, 3))
    first, _ = n.node("Split", n.node("Concat", a, b, axis=1), outputs=2, axis=1, num_outputs=2)
    y = n.node("Squeeze", n.node("GlobalAveragePool", first), n.numbers(2, 3))
    macs = 15 * 15 * (32 * 8 + 8 * 16 + 8 * 9 * 16)
    return n.model({"x": [1, 32, 31, 31]}, [y]), {}, macs, 32 * 8 + 8 * 16 + 8 * 9 * 16 + 0


REAL = {f.__name__: f for f in (lenet, encoder, tagger, unet, inverted_residual, mixer, squeezed)}


def saved(folder, model):
    path = folder / "model.onnx"
    onnx.save(model, str(path))
    return path
