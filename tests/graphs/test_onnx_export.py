"""Graphs written as ONNX: read back they are the same, and ONNX Runtime gives the shapes that they state."""

from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

from simulator.cli import app
from simulator.errors import InputError
from simulator.workloads.graphs.builder import Builder
from simulator.workloads.graphs.catalogue import graph_model
from simulator.workloads.graphs.counting import count
from simulator.workloads.graphs.lowering import unknown
from simulator.workloads.graphs.rewrites import Convert, Fuse

onnx = pytest.importorskip("onnx")

from simulator.workloads.graphs.onnx_export import onnx_model, write_onnx  # noqa: E402
from simulator.workloads.graphs.onnx_import import read_onnx  # noqa: E402


def images():
    """Every layer that image networks are built of."""
    g = Builder("images")
    x = g.act(g.batch_norm(g.conv(g.input(2, 3, 32, 32), 16, 3, 2)), "HardSwish")
    y = g.act(g.group_norm(g.conv(x, 16, 3, groups=4), 4), "Silu")
    y = g.mul(y, g.act(g.conv(g.add_node("AdaptiveAveragePool", [y], output_size=[1, 1]), 16), "HardSigmoid"))
    y = g.upsample(g.max_pool(g.add(x, y), 3, 2, 1))
    a, b = g.split(g.concat([y, x]), 2)
    y = g.act(g.deconv(g.add(a, b), 8, 2, 2), "Mish")
    return g.build(g.linear(g.global_pool(g.average_pool(g.act(y, "Clip"), 2, 2)), 10))


def tokens():
    """Every layer that sequence networks are built of, keys shared by two heads each."""
    g = Builder("tokens")
    x = g.rms_norm(g.embedding(g.input(2, 12, name="ids"), 100, 32))
    q = g.transpose(g.reshape(g.linear(x, 32), 2, 12, 4, 8), 0, 2, 1, 3)
    k, v = (g.transpose(g.reshape(g.linear(x, 16), 2, 12, 2, 8), 0, 2, 1, 3) for _ in range(2))
    y = g.reshape(g.transpose(g.attention(q, k, v), 0, 2, 1, 3), 2, 12, 32)
    y = g.layer_norm(g.add(x, g.act(g.linear(y, 32), "Gelu")))
    y = g.lstm(g.transpose(y, 1, 0, 2), 16, bidirectional=True)
    return g.build(g.softmax(g.mean(g.linear(y, 5), 0)))


BUILT = {"images": images, "tokens": tokens, "mobilenet-v3-small": None, "resnet-18": None}


def built(name):
    return BUILT[name]() if BUILT[name] else graph_model(name).parts[0].graph


@pytest.mark.parametrize("name", BUILT)
def test_what_is_written_reads_back_the_same(name, tmp_path):
    graph = built(name)
    back = read_onnx(write_onnx(graph, tmp_path / "g.onnx"))
    before, after = count(graph), count(back)
    assert (after.parameters, after.macs) == (before.parameters, before.macs)
    assert [back.tensors[n].shape for n in back.outputs] == [graph.tensors[n].shape for n in graph.outputs]
    shapes = {n: t.shape for n, t in graph.tensors.items() if n in back.tensors}
    assert len(shapes) > len(graph.nodes) / 2
    assert {n: back.tensors[n].shape for n in shapes} == shapes
    assert unknown(back) == {}


@pytest.mark.parametrize("name", BUILT)
def test_the_runtime_gives_the_shapes_that_the_graph_states(name):
    runtime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    graph = built(name)
    model = onnx_model(graph)
    onnx.checker.check_model(model, full_check=True)
    session = runtime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    feeds = {i.name: np.zeros(i.shape, np.int64 if "int64" in i.type else np.float32) for i in session.get_inputs()}
    results = session.run(None, feeds)
    assert [r.shape for r in results] == [graph.tensors[n].shape for n in graph.outputs]
    assert all(np.isfinite(r).all() for r in results)


def test_attention_and_norms_are_written_as_what_they_compute():
    """Against the formulas in NumPy, on the weights that were written."""
    runtime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    g = Builder("g")
    q, k, v = (g.input(1, heads, 6, 8, name=n) for n, heads in (("q", 4), ("k", 2), ("v", 2)))
    outputs = [g.attention(q, k, v), g.act(q, "Gelu"), g.act(q, "Silu"), g.rms_norm(q), g.group_norm(q, 2)]
    session = runtime.InferenceSession(onnx_model(g.build(*outputs)).SerializeToString())
    random = np.random.default_rng(1)
    feeds = {n: random.standard_normal((1, heads, 6, 8), dtype=np.float32) for n, heads in zip("qkv", (4, 2, 2),
                                                                                              strict=True)}  # fmt: skip
    attended, _, silu, _, _ = session.run(None, feeds)
    x = feeds["q"]
    wide = {n: np.repeat(feeds[n], 2, axis=1) for n in "kv"}
    scores = np.exp(x @ wide["k"].swapaxes(-1, -2) / np.sqrt(8.0))
    assert attended == pytest.approx(scores / scores.sum(-1, keepdims=True) @ wide["v"], abs=1e-5)
    assert silu == pytest.approx(x / (1.0 + np.exp(-x)), abs=1e-5)


def test_the_same_seed_gives_the_same_file():
    graph = images()
    first, again, other = (onnx_model(graph, seed).SerializeToString() for seed in (3, 3, 4))
    assert first == again
    assert first != other


def test_kernels_that_others_joined_are_written_apart():
    graph = images()
    fused = Fuse(fold=False)(graph)
    assert len(fused.nodes) < len(graph.nodes)
    assert len(onnx_model(fused).graph.node) == len(onnx_model(graph).graph.node)


def test_what_onnx_cannot_say_is_refused_by_name():
    with pytest.raises(InputError, match="write the graph before it is quantised"):
        onnx_model(Convert(weights="int4")(images()))
    g = Builder("g")
    once = g.build(g.act(g.input(1, 4, 8, 8)))
    twice = once.with_nodes(replace(node, repeat=2) for node in once.nodes)
    with pytest.raises(InputError, match=r"relu_0 \(Relu\) cannot be written as ONNX: it runs more or less than once"):
        onnx_model(twice)
    g = Builder("g")
    with pytest.raises(InputError, match="differ in size"):
        onnx_model(g.build(g.add_node("AdaptiveAveragePool", [g.input(1, 4, 7, 7)], output_size=[2, 2])))
    g = Builder("g")
    with pytest.raises(InputError, match="arrays of sizes"):
        onnx_model(g.build(g.conv(g.input(1, 3, 8, 8), np.array([4.0, 8.0]))))


def test_the_command_writes_a_named_model(tmp_path):
    file = tmp_path / "m.onnx"
    assert CliRunner().invoke(app, ["show", "graph", "squeezenet-1.1", "--onnx", str(file)]).exit_code == 0
    assert count(read_onnx(file)).parameters == 1_235_496
    wrong = CliRunner().invoke(app, ["show", "device", "nvidia-a100-sxm-80gb", "--onnx", str(file)])
    assert isinstance(wrong.exception, InputError)
