"""Our shapes of each operator type against those of ONNX's own rules."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper  # noqa: E402

from simulator.workloads.graphs.interchange.facts import Fact, constant  # noqa: E402
from simulator.workloads.graphs.interchange.inference import by_kind, inferred  # noqa: E402
from simulator.workloads.graphs.interchange.operands import attributes_of, lifted  # noqa: E402

FLOAT, INT64, BOOL, UINT8, INT8 = (
    TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL, TensorProto.UINT8, TensorProto.INT8,
)  # fmt: skip


def both(type, operands, outputs=1, opset=22, **attributes):
    """ONNX's shapes and ours of the first results that we state; operands are shapes, arrays (fixed), or facts."""
    facts, names = [], []
    for place, operand in enumerate(operands):
        name = f"x{place}"
        facts.append(fact(name, operand))
        names.append(name if operand is not None else "")
    node = helper.make_node(type, names, [f"y{i}" for i in range(outputs)], **attributes)
    found = inferred(node, facts, {"": opset}, {})
    stated, kept = lifted(type, attributes_of(node), facts)
    ours = by_kind(type, stated, kept)
    assert found, f"ONNX has no rule for {type}"
    assert ours is not None, f"{type} has no shapes here"
    return [found[f"y{i}"][0] for i in range(min(outputs, len(ours)))], list(ours[:outputs])


def fact(name, operand):
    if operand is None or isinstance(operand, Fact):
        return operand
    if isinstance(operand, tuple):
        return Fact(name, operand, FLOAT)
    array = np.asarray(operand)
    return constant(name, array.astype(np.float32) if array.dtype == np.float64 else array)


def ids(*shape):
    return Fact("x", shape, INT64)


CASES = [
    ("Add", [(2, 1, 4), (3, 1)], {}),
    ("Where", [Fact("x", (4,), BOOL), (3, 1), (2, 1, 4)], {}),
    ("PRelu", [(2, 3, 4), (3, 1)], {}),
    ("MatMul", [(2, 1, 5, 6), (7, 6, 3)], {}),
    ("MatMul", [(6,), (7, 6, 3)], {}),
    ("MatMul", [(5, 6), (6,)], {}),
    ("Gemm", [(6, 5), (4, 6), (4,)], {"transA": 1, "transB": 1}),
    ("Einsum", [(2, 3, 4), (2, 4, 5)], {"equation": "bij,bjk->bik"}),
    ("Einsum", [(2, 3, 4), (4, 5)], {"equation": "...j,jk"}),
    ("Einsum", [(2, 3, 4)], {"equation": "bij->jb"}),
    ("Flatten", [(2, 3, 4, 5)], {"axis": 2}),
    ("Reshape", [(2, 3, 4), [0, -1]], {}),
    ("Squeeze", [(1, 3, 1, 4), [0, -2]], {}),
    ("Unsqueeze", [(3, 4), [0, -1]], {}),
    ("Transpose", [(2, 3, 4)], {}),
    ("Transpose", [(2, 3, 4)], {"perm": [2, 0, 1]}),
    ("Concat", [(2, 3), (2, 5)], {"axis": -1}),
    ("Pad", [(2, 3, 4), [0, 1, 2, 3, 0, -1]], {}),
    ("Pad", [(2, 3, 4), [1, 2], 0.0, [-1]], {}),
    ("SpaceToDepth", [(1, 4, 8, 6)], {"blocksize": 2}),
    ("DepthToSpace", [(1, 16, 4, 3)], {"blocksize": 2}),
    ("Gather", [(5, 6, 7), ids(2, 3)], {"axis": 1}),
    ("GatherElements", [(5, 6), ids(2, 6)], {"axis": 0}),
    ("GatherND", [(5, 6, 7), ids(4, 2)], {}),
    ("GatherND", [(5, 6, 7), ids(5, 1)], {"batch_dims": 1}),
    ("ScatterND", [(5, 6), ids(3, 1), (3, 6)], {}),
    ("ScatterElements", [(5, 6), ids(2, 6), (2, 6)], {}),
    ("TopK", [(3, 9), [4]], {"axis": 1, "outputs": 2}),
    ("OneHot", [ids(3, 4), 10, np.array([0.0, 1.0])], {"axis": 1}),
    ("CumSum", [(3, 4), 1], {}),
    ("Trilu", [(3, 4), 1], {}),
    ("ArgMax", [(3, 4, 5)], {"axis": 1, "keepdims": 0}),
    ("ReduceMean", [(3, 4, 5), [0, -1]], {"keepdims": 0}),
    ("ReduceSum", [(3, 4, 5)], {}),
    ("Resize", [(1, 3, 5, 7), None, np.array([1.0, 1.0, 1.7, 0.5])], {}),
    ("Resize", [(1, 3, 5, 7), None, None, [1, 3, 9, 2]], {}),
    ("BatchNormalization", [(2, 3, 4, 4), *[(3,)] * 4], {}),
    ("LayerNormalization", [(2, 3, 4), (4,), (4,)], {}),
    ("RMSNormalization", [(2, 3, 4), (4,)], {"opset": 23}),
    ("GlobalAveragePool", [(2, 3, 4, 5)], {}),
    ("LpPool", [(1, 3, 9, 9)], {"kernel_shape": [3, 3], "strides": [2, 2]}),
    ("MaxUnpool", [(1, 3, 4, 4), ids(1, 3, 4, 4)], {"kernel_shape": [2, 2], "strides": [2, 2]}),
    ("LSTM", [(7, 2, 5), (2, 24, 5), (2, 24, 6)], {"hidden_size": 6, "direction": "bidirectional"}),
    ("GRU", [(2, 7, 5), (1, 18, 5), (1, 18, 6)], {"hidden_size": 6, "layout": 1}),
    ("Attention", [(2, 8, 10, 64), (2, 2, 12, 64), (2, 2, 12, 32)], {"opset": 23}),
    ("Attention", [(2, 10, 512), (2, 12, 128), (2, 12, 64)], {"opset": 23, "q_num_heads": 8, "kv_num_heads": 2}),
    ("RotaryEmbedding", [(2, 8, 10, 64), (10, 32), (10, 32), ids(2, 10)], {"opset": 23}),
    ("GridSample", [(2, 3, 8, 8), (2, 5, 6, 2)], {}),
    ("RoiAlign", [(1, 3, 20, 20), (7, 4), ids(7)], {"output_height": 4, "output_width": 5}),
    ("DeformConv", [(1, 4, 9, 9), (6, 4, 3, 3), (1, 18, 7, 7)], {}),
    ("Col2Im", [(1, 3 * 4, 16), [8, 8], [2, 2]], {"strides": [2, 2]}),
    ("STFT", [(1, 400, 1), 100, None, 64], {"onesided": 1}),
    ("DFT", [(1, 64, 1)], {"onesided": 1, "opset": 17}),
    ("QLinearConv", [Fact("x", (1, 4, 9, 9), UINT8), 0.1, np.uint8(0), Fact("x", (8, 4, 3, 3), INT8), 0.1,
                     np.array(0, np.int8), 0.1, np.array(0, np.uint8)], {}),
    ("MatMulInteger", [Fact("x", (3, 4, 5), UINT8), Fact("x", (5, 6), INT8)], {}),
    ("QLinearMatMul", [Fact("x", (4, 5), UINT8), 0.1, np.array(0, np.uint8), Fact("x", (5, 6), UINT8), 0.1,
                       np.array(0, np.uint8), 0.1, np.array(0, np.uint8)], {}),
    ("DynamicQuantizeLinear", [(3, 4)], {"outputs": 3}),
    ("QuantizeLinear", [(3, 4), 0.1, np.array(0, np.uint8)], {}),
    ("Hardmax", [(3, 4)], {}),
    ("EyeLike", [(3, 4)], {}),
    ("ReverseSequence", [(3, 4), ids(4)], {}),
]  # fmt: skip


@pytest.mark.parametrize(("type", "operands", "more"), CASES, ids=[f"{c[0]}-{i}" for i, c in enumerate(CASES)])
def test_shapes_are_those_of_onnx(type, operands, more):
    theirs, ours = both(type, operands, **more)
    assert ours == theirs


WINDOWS = {
    "size": st.integers(7, 20), "kernel": st.integers(1, 4), "stride": st.integers(1, 3), "pad": st.integers(0, 1),
    "dilation": st.integers(1, 2),
}  # fmt: skip


@settings(deadline=None, max_examples=60)
@given(**WINDOWS, up=st.booleans(), type=st.sampled_from(["MaxPool", "AveragePool"]), same=st.booleans())
def test_pooled_shapes_are_those_of_onnx(size, kernel, stride, pad, dilation, up, type, same):
    assume(pad < kernel)
    padding = {"auto_pad": "SAME_UPPER"} if same else {"pads": [pad] * 4, "ceil_mode": int(up)}
    theirs, ours = both(
        type, [(1, 2, size, size + 3)], kernel_shape=[kernel] * 2, strides=[stride] * 2, dilations=[dilation] * 2,
        **padding,
    )  # fmt: skip
    assert ours == theirs


@settings(deadline=None, max_examples=60)
@given(**WINDOWS, transposed=st.booleans(), same=st.booleans())
def test_convolved_shapes_are_those_of_onnx(size, kernel, stride, pad, dilation, transposed, same):
    assume(kernel >= stride or not (transposed and same))  # ONNX lets windows that leave gaps end early
    padding = {"auto_pad": "SAME_UPPER"} if same else {"pads": [pad] * 4}
    filters = (4, 6, kernel, kernel) if transposed else (6, 4, kernel, kernel)
    theirs, ours = both(
        "ConvTranspose" if transposed else "Conv", [(1, 4, size, size + 3), filters],
        strides=[stride] * 2, dilations=[dilation] * 2, **padding,
    )  # fmt: skip
    assert ours == theirs
