"""Files that ONNX Runtime has optimised or quantised: fused and 8-bit types do the work of what they stand for."""

import numpy as np
import pytest

from simulator.workloads.graphs.builder import Builder
from simulator.workloads.graphs.counting import count
from simulator.workloads.graphs.lowering import unknown

onnx = pytest.importorskip("onnx")
runtime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")

from simulator.workloads.graphs.onnx_export import write_onnx  # noqa: E402
from simulator.workloads.graphs.onnx_import import read_onnx  # noqa: E402


def convolutions():
    g = Builder("convolutions")
    x = g.act(g.batch_norm(g.conv(g.input(1, 3, 24, 24), 16, 3, 2)))
    y = g.act(g.batch_norm(g.conv(x, 16, 3, groups=16)), "Silu")
    y = g.act(g.add(x, g.conv(y, 16)))
    return g.build(g.linear(g.global_pool(g.max_pool(y, 2, 2)), 10))


def encoder():
    g = Builder("encoder")
    x = g.input(2, 12, 32)
    q, k, v = (g.transpose(g.reshape(g.linear(x, 32), 2, 12, 4, 8), 0, 2, 1, 3) for _ in range(3))
    y = g.linear(g.reshape(g.transpose(g.attention(q, k, v), 0, 2, 1, 3), 2, 12, 32), 32)
    y = g.layer_norm(g.add(x, y))
    z = g.linear(g.act(g.linear(y, 64), "Gelu"), 32)
    return g.build(g.layer_norm(g.add(y, z)))


GRAPHS = {"convolutions": convolutions, "encoder": encoder}
LEVELS = {"extended": "ORT_ENABLE_EXTENDED", "all": "ORT_ENABLE_ALL"}


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("name", GRAPHS)
def test_optimised_files_do_the_same_products_in_fewer_nodes(name, level, tmp_path):
    graph = GRAPHS[name]()
    options = runtime.SessionOptions()
    options.graph_optimization_level = getattr(runtime.GraphOptimizationLevel, LEVELS[level])
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    options.log_severity_level = 4
    runtime.InferenceSession(str(write_onnx(graph, tmp_path / "g.onnx")), options, providers=["CPUExecutionProvider"])
    back = read_onnx(tmp_path / "optimised.onnx")
    assert count(back).macs == pytest.approx(count(graph).macs, rel=0.01)
    assert unknown(back) == {}
    assert len(back.nodes) < len(read_onnx(tmp_path / "g.onnx").nodes)


@pytest.mark.parametrize("name", GRAPHS)
def test_dynamically_quantised_files_do_the_same_products_on_eight_bits(name, tmp_path):
    quantization = pytest.importorskip("onnxruntime.quantization")
    graph = GRAPHS[name]()
    source = write_onnx(graph, tmp_path / "g.onnx")
    quantization.quantize_dynamic(str(source), str(tmp_path / "q.onnx"))
    back = read_onnx(tmp_path / "q.onnx")
    assert count(back).macs == count(graph).macs
    assert unknown(back) == {}
    assert count(back).weight_bytes < 0.5 * count(graph).weight_bytes


@pytest.mark.parametrize("form", ["QOperator", "QDQ"])
def test_statically_quantised_files_do_the_same_products_on_eight_bits(form, tmp_path):
    quantization = pytest.importorskip("onnxruntime.quantization")

    class Reader(quantization.CalibrationDataReader):
        def __init__(self):
            self.left = [{"input": np.ones((1, 3, 24, 24), np.float32)}]

        def get_next(self):
            return self.left.pop() if self.left else None

    graph = convolutions()
    source = write_onnx(graph, tmp_path / "g.onnx")
    quantization.quantize_static(
        str(source), str(tmp_path / "q.onnx"), Reader(), quant_format=quantization.QuantFormat[form]
    )
    back = read_onnx(tmp_path / "q.onnx")
    assert count(back).macs == count(graph).macs
    assert unknown(back) == {}
    assert count(back).weight_bytes < 0.5 * count(graph).weight_bytes
