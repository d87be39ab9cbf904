"""Layouts and fusions of ONNX Runtime: as its own optimiser makes them."""

from collections import Counter
from pathlib import Path

import pytest

from simulator.assembly.graphs import runtime_rewrites
from simulator.hardware.runtimes import runtime
from simulator.workloads.graphs.builder import Builder
from simulator.workloads.graphs.catalogue import graph_model
from simulator.workloads.graphs.counting import count
from simulator.workloads.graphs.graph import Graph
from simulator.workloads.graphs.onnx_export import onnx_model
from simulator.workloads.graphs.rewrites import BlockChannels, Fuse, SkipNorm

STEPS = {"Conv": [["Add"], ["Relu", "Clip"]]}
KINDS = ("ReorderInput", "ReorderOutput", "SkipLayerNormalization", "LayerNormalization", "MaxPool", "Concat")


def types(graph: Graph) -> list[str]:
    return ["+".join([n.type, *(part.type for part in n.epilogue)]) for n in graph.nodes]


def as_onnx_runtime_runs(graph: Graph) -> Graph:
    for rewrite in runtime_rewrites(runtime("onnxruntime")):
        graph = rewrite(graph)
    return graph


def test_a_sum_joins_before_an_activation_and_never_after_one():
    g = Builder("sum, then relu")
    x = g.input(1, 16, 8, 8)
    assert types(Fuse(joined=STEPS)(g.build(g.act(g.add(g.conv(x, 16), x))))) == ["Conv+Add+Relu"]
    g = Builder("relu, then sum")
    x = g.input(1, 16, 8, 8)
    assert types(Fuse(joined=STEPS)(g.build(g.add(g.act(g.conv(x, 16)), x)))) == ["Conv+Relu", "Add"]


def test_what_the_steps_do_not_name_is_left_alone():
    g = Builder("silu")
    x = g.act(g.conv(g.input(1, 16, 8, 8), 16), "Silu")
    assert types(Fuse(joined=STEPS)(g.build(x))) == ["Conv", "Silu"]


def test_layouts_change_at_the_ends_only_of_a_chain_of_convolutions():
    g = Builder("chain")
    x = g.conv(g.act(g.conv(g.input(1, 32, 8, 8), 32, 3)), 48, 3)
    blocked = BlockChannels()(g.build(g.max_pool(x, 2, 2)))
    assert [n.type for n in blocked.nodes] == ["ReorderInput", "Conv", "Relu", "Conv", "MaxPool", "ReorderOutput"]


def test_few_channels_are_read_as_they_are_and_odd_ones_stay_plain():
    g = Builder("first layer")
    assert [n.type for n in BlockChannels()(g.build(g.conv(g.input(1, 3, 8, 8), 16, 3))).nodes] == [
        "Conv", "ReorderOutput",
    ]  # fmt: skip
    g = Builder("58 channels")
    assert [n.type for n in BlockChannels()(g.build(g.conv(g.input(1, 58, 8, 8), 58))).nodes] == ["Conv"]


def test_a_tensor_is_copied_once_for_all_its_readers():
    g = Builder("two readers")
    x = g.input(1, 32, 8, 8)
    graph = BlockChannels()(g.build(g.conv(x, 32), g.conv(x, 64)))
    assert Counter(n.type for n in graph.nodes) == {"ReorderInput": 1, "Conv": 2, "ReorderOutput": 2}


def test_blocks_change_no_arithmetic_and_add_the_traffic_of_the_copies():
    graph = graph_model("mobilenet-v3-large", 1).parts[0].graph
    blocked = BlockChannels()(graph)
    before, after = count(graph), count(blocked)
    assert after.macs == before.macs and after.parameters == before.parameters
    copies = [n for n in blocked.nodes if n.type.startswith("Reorder")]
    moved = sum(2 * blocked.tensors[n.outputs[0]].bytes for n in copies)
    assert float(after.bytes) == pytest.approx(float(before.bytes) + moved)


def test_a_norm_takes_in_the_sum_that_only_it_reads():
    g = Builder("post-norm")
    x, y = g.input(1, 4, 8), g.input(1, 4, 8, name="y")
    assert [n.type for n in SkipNorm()(g.build(g.layer_norm(g.add(x, y)))).nodes] == ["SkipLayerNormalization"]
    g = Builder("pre-norm: the sum goes on")
    x, y = g.input(1, 4, 8), g.input(1, 4, 8, name="y")
    total = g.add(x, y)
    graph = g.build(g.add(total, g.layer_norm(total)))
    assert [n.type for n in SkipNorm()(graph).nodes] == ["Add", "LayerNormalization", "Add"]


@pytest.mark.skipif(
    "avx512f" not in (Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""),
    reason="blocks are of 16 channels on processors with 512-bit vectors alone",
)
@pytest.mark.parametrize("name", ["mobilenet-v3-large", "shufflenet-v2-1.0", "yolov8n", "squeezenet-1.1", "distilbert"])
def test_kernels_are_those_of_the_model_that_the_runtime_saves(name: str, tmp_path: Path):
    ort = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    onnx = pytest.importorskip("onnx", reason="onnx is not installed")
    options = {"depth": 2, "vocabulary": 100} if name == "distilbert" else {}
    graph = graph_model(name, 1, **options).parts[0].graph
    settings = ort.SessionOptions()
    settings.optimized_model_filepath, settings.log_severity_level = str(tmp_path / "saved.onnx"), 3
    ort.InferenceSession(onnx_model(graph).SerializeToString(), settings, providers=["CPUExecutionProvider"])
    saved = Counter(n.op_type for n in onnx.load(str(tmp_path / "saved.onnx")).graph.node)
    ours = Counter(n.type for n in as_onnx_runtime_runs(graph).nodes)
    assert {k: ours[k] for k in KINDS} == {k: saved[k] for k in KINDS}
    assert ours["Conv"] == saved["Conv"] + saved["FusedConv"]
