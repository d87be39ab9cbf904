"""ONNX files as graphs: sizes against closed forms and published ones, shapes against ONNX Runtime's."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from simulator.errors import InputError
from simulator.inference import infer
from simulator.kinds import scenario_of
from simulator.specs.inference import InferenceScenario
from simulator.workloads.graphs.counting import count
from simulator.workloads.graphs.kinds import KINDS
from simulator.workloads.graphs.lifetimes import peak_activation_bytes
from simulator.workloads.graphs.lowering import unknown

onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper  # noqa: E402

from simulator.workloads.graphs.onnx_import import read_onnx  # noqa: E402
from tests.graphs.onnx_models import REAL, Net, encoder, saved  # noqa: E402

LIGHT = Path(onnx.__file__).parent / "backend/test/data/light"


@pytest.mark.parametrize("name", REAL)
def test_multiply_adds_and_parameters_are_those_worked_out_by_hand(name, tmp_path):
    model, sizes, macs, parameters = REAL[name]()
    graph = read_onnx(saved(tmp_path, model), sizes)
    assert count(graph).macs == macs
    assert count(graph).parameters == parameters
    assert unknown(graph) == {}


@pytest.mark.parametrize("name", REAL)
def test_every_shape_is_what_the_runtime_gives(name, tmp_path):
    runtime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    model, sizes, _, _ = REAL[name]()
    graph = read_onnx(saved(tmp_path, model), sizes)
    names = [n for node in graph.nodes for n in node.outputs]
    del model.graph.output[:]
    model.graph.output.extend(helper.make_empty_tensor_value_info(n) for n in names)
    options = runtime.SessionOptions()
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = runtime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    feeds = {n: np.zeros(graph.tensors[n].shape, dtype=np.float32) for n in graph.inputs}
    for name_, found in zip(names, session.run(None, feeds), strict=True):
        assert found.shape == graph.tensors[name_].shape, name_


@pytest.mark.parametrize(
    ("name", "parameters", "macs"),
    [
        # parameters as torchvision and the Caffe model zoo give them, multiply-adds of the papers' tables
        ("resnet50", 25_557_032, 4.09e9),
        ("vgg19", 143_667_240, 19.6e9),
        ("squeezenet", 1_235_496, 0.35e9),
        ("inception_v1", 6_998_552, 1.43e9),
        ("bvlc_alexnet", 60_965_224, 0.655e9),
        ("densenet121", 7_978_856 + 2 * 41_824, 2.834e9),  # Caffe scales and shifts beside each batch norm's own
    ],
)
def test_models_that_come_with_onnx_have_their_published_sizes(name, parameters, macs):
    file = LIGHT / f"light_{name}.onnx"
    if not file.exists():
        pytest.skip("this onnx package comes without its test models")
    graph = read_onnx(file)
    assert count(graph).parameters == parameters
    assert count(graph).macs == pytest.approx(macs, rel=0.01)
    assert unknown(graph) == {}
    disagreeing = [
        (node.name, found, result.shape)
        for node in graph.nodes
        for found, result in zip(KINDS[node.type].shapes(node.attributes, graph.operands(node)), graph.results(node),
                                 strict=False)
        if tuple(found) != result.shape
    ]  # fmt: skip
    assert disagreeing == []


def test_shape_arithmetic_leaves_no_nodes_behind(tmp_path):
    model, sizes, _, _ = encoder()
    types = {node.type for node in read_onnx(saved(tmp_path, model), sizes).nodes}
    assert not types & {"Shape", "Gather", "Unsqueeze", "Concat"}


def test_quantised_weights_stay_in_eight_bits(tmp_path):
    n = Net()
    scale, zero = n.scalar(0.1, np.float32), n.scalar(0, np.int8)
    q = n.node("DequantizeLinear", n.node("QuantizeLinear", "x", scale, zero), scale, zero)
    w = n.node("DequantizeLinear", n.weight(8, 4, 3, 3, dtype=np.int8), scale, zero)
    graph = read_onnx(saved(tmp_path, n.model({"x": [1, 4, 10, 10]}, [n.node("Conv", q, w)])))
    (conv,) = [node for node in graph.nodes if node.type == "Conv"]
    weight = graph.tensors[conv.inputs[1]]
    assert weight.weight and weight.dtype.bits == 8 and weight.dtype.compute == "int8"
    assert [node.type for node in graph.nodes] == ["QuantizeLinear", "DequantizeLinear", "Conv"]


def test_products_of_integers_count(tmp_path):
    n = Net()
    y, scale, zero = n.node("DynamicQuantizeLinear", "x", outputs=3)
    z = n.node("MatMulInteger", y, n.weight(32, 48, dtype=np.int8), zero)
    out = n.node("Mul", n.node("Cast", z, to=TensorProto.FLOAT), scale)
    graph = read_onnx(saved(tmp_path, n.model({"x": [5, 32]}, [out])))
    assert count(graph).macs == 5 * 32 * 48
    assert unknown(graph) == {}


def _loop(trips):
    """x @ w, `trips` times in a row; None: as many as an input says."""
    body = helper.make_graph(
        [helper.make_node("MatMul", ["v", "w0"], ["v_out"]), helper.make_node("Identity", ["c"], ["c_out"])],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("c", TensorProto.BOOL, []),
            helper.make_tensor_value_info("v", TensorProto.FLOAT, [4, 16]),
        ],
        [
            helper.make_tensor_value_info("c_out", TensorProto.BOOL, []),
            helper.make_tensor_value_info("v_out", TensorProto.FLOAT, [4, 16]),
        ],
    )
    n = Net()
    n.weight(16, 16)
    count_name = "trips" if trips is None else n.scalar(trips)
    y = n.node("Loop", count_name, "", "x", body=body)
    inputs = {"x": [4, 16], **({"trips": []} if trips is None else {})}
    return n.model(inputs, [y], {"trips": TensorProto.INT64})


def test_a_loop_does_the_work_of_its_body_as_often_as_it_runs(tmp_path):
    graph = read_onnx(saved(tmp_path, _loop(7)))
    assert count(graph).macs == 7 * 4 * 16 * 16
    assert count(graph).parameters == 16 * 16
    assert unknown(graph) == {}


def test_a_loop_of_unknown_length_is_named_as_estimated(tmp_path):
    graph = read_onnx(saved(tmp_path, _loop(None)))
    assert count(graph).macs == 4 * 16 * 16
    assert unknown(graph) == {"Loop of unknown length": 1}


@pytest.mark.parametrize(("given", "macs"), [(True, 4 * 16 * 16), (False, 2 * 4 * 16 * 16), (None, 2 * 4 * 16 * 16)])
def test_a_condition_runs_the_branch_that_is_known_or_else_the_longest(tmp_path, given, macs):
    n = Net()
    w = n.weight(16, 16)

    def branch(times):
        names = ["x", *(f"b{times}{i}" for i in range(times))]
        nodes = [helper.make_node("MatMul", [a, w], [b]) for a, b in pairwise(names)]
        return helper.make_graph(
            nodes, f"branch{times}", [], [helper.make_tensor_value_info(names[-1], TensorProto.FLOAT, [4, 16])]
        )

    name = "given" if given is None else n.scalar(given, np.bool_)
    y = n.node("If", name, then_branch=branch(1), else_branch=branch(2))
    inputs = {"x": [4, 16], **({"given": []} if given is None else {})}
    graph = read_onnx(saved(tmp_path, n.model(inputs, [y], {"given": TensorProto.BOOL})))
    assert count(graph).macs == macs
    assert unknown(graph) == ({"If of unknown outcome": 1} if given is None else {})


def test_functions_of_the_file_are_written_out(tmp_path):
    n = Net(domains=("local",))
    y = n.node("Dense", n.node("Dense", "x", n.weight(16, 16), domain="local"), n.weight(16, 8), domain="local")
    model = n.model({"x": [4, 16]}, [y])
    body = [helper.make_node("MatMul", ["a", "b"], ["c"]), helper.make_node("Relu", ["c"], ["d"])]
    imports = [helper.make_opsetid("", 17)]
    model.functions.append(helper.make_function("local", "Dense", ["a", "b"], ["d"], body, imports))
    graph = read_onnx(saved(tmp_path, model))
    assert count(graph).macs == 4 * 16 * 16 + 4 * 16 * 8
    assert [node.type for node in graph.nodes] == ["MatMul", "Relu"] * 2


def test_sparse_weights_hold_what_is_not_zero(tmp_path):
    n = Net()
    model = n.model({"x": [4, 100]}, [n.node("MatMul", "x", "sparse")])
    values = helper.make_tensor("sparse", TensorProto.FLOAT, [50], [1.0] * 50)
    places = helper.make_tensor("places", TensorProto.INT64, [50], list(range(50)))
    model.graph.sparse_initializer.append(helper.make_sparse_tensor(values, places, [100, 10]))
    graph = read_onnx(saved(tmp_path, model))
    assert count(graph).parameters == 50
    assert graph.tensors["sparse"].density == 0.05


def test_floating_point_numbers_take_the_format_that_is_asked_for(tmp_path):
    n = Net()
    path = saved(tmp_path, n.model({"x": [4, 16]}, [n.node("MatMul", "x", n.weight(16, 16))]))
    fields = {"model": {"onnx": str(path)}, "device": "nvidia-a100-sxm-80gb"}
    own, half = (infer(InferenceScenario(**fields, **more)).summary for more in ({}, {"format": "fp16"}))
    assert half["weights_mb"] == own["weights_mb"] / 2


def test_a_scan_sees_one_row_in_each_round(tmp_path):
    body = helper.make_graph(
        [helper.make_node("MatMul", ["row", "w0"], ["y"]), helper.make_node("Add", ["state", "y"], ["next"])],
        "body",
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, [3, 16]) for n in ("state", "row")],
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, [3, 16]) for n in ("next", "y")],
    )
    n = Net()
    n.weight(16, 16)
    last, rows = n.node("Scan", "s", "x", outputs=2, body=body, num_scan_inputs=1)
    graph = read_onnx(saved(tmp_path, n.model({"s": [3, 16], "x": [9, 3, 16]}, [last, rows])))
    assert count(graph).macs == 9 * 3 * 16 * 16
    assert [graph.tensors[n].shape for n in graph.outputs] == [(3, 16), (9, 3, 16)]


def test_fused_attention_does_the_products_of_its_parts(tmp_path):
    n = Net(domains=("com.microsoft",))
    width, heads, shared = 64, 8, 2
    attributes = {"domain": "com.microsoft", "num_heads": heads}
    a = n.node("Attention", "x", n.weight(width, 3 * width), n.weight(3 * width), **attributes)
    n.node("GroupQueryAttention", a, "k", "k", "past", "past", "lengths", "total", outputs=3, kv_num_heads=shared,
           **attributes)  # fmt: skip
    out = n.node("Mystery", "t1_0", domain="com.example")
    model = n.model(
        {"x": [2, 10, width], "k": [2, 10, 16], "past": [2, shared, 30, 8], "lengths": [2], "total": []}, [out],
        {"lengths": TensorProto.INT32, "total": TensorProto.INT32},
    )  # fmt: skip
    model.opset_import.append(helper.make_opsetid("com.example", 1))
    graph = read_onnx(saved(tmp_path, model))
    tokens = 2 * 10
    assert count(graph).macs == tokens * width * 3 * width + 2 * tokens * 10 * width + 2 * tokens * 40 * width
    assert graph.tensors["t1_1"].shape == (2, shared, 40, 8)
    assert unknown(graph) == {"com.example:Mystery": 1}


def test_a_file_runs_as_a_scenario_and_names_what_is_estimated(tmp_path):
    n = Net(domains=("com.example",))
    y = n.node("Mystery", n.node("MatMul", "x", n.weight(64, 64)), domain="com.example")
    path = saved(tmp_path, n.model({"x": ["batch", 64]}, [y]))
    fields = {"model": {"onnx": str(path)}, "device": "nvidia-a100-sxm-80gb", "batch": 8}
    summary = infer(InferenceScenario(**fields)).summary
    assert summary["macs"] == 8 * 64 * 64
    assert summary["estimated_operators"] == {"com.example:Mystery": 1}
    fields["model"]["sizes"] = {"batch": 8}
    del fields["batch"]
    assert infer(InferenceScenario(**fields)).summary["throughput_per_s"] == summary["throughput_per_s"]


def test_bad_files_and_sizes_are_one_clear_line(tmp_path):
    model, _, _, _ = encoder()
    path = saved(tmp_path, model)
    with pytest.raises(InputError, match="these dimensions are open: seq: give each a size"):
        read_onnx(path, {"batch": 1})
    with pytest.raises(InputError, match="unknown open dimension in sizes 'sequ': did you mean seq"):
        read_onnx(path, {"batch": 1, "seq": 4, "sequ": 4})
    with pytest.raises(InputError, match="no such file"):
        read_onnx(tmp_path / "absent.onnx")
    for name, content in {
        "truncated": path.read_bytes()[:-700], "text": b"kind: inference\n", "empty": b"",
    }.items():  # fmt: skip
        bad = tmp_path / f"{name}.onnx"
        bad.write_bytes(content)
        with pytest.raises(InputError, match="not an ONNX model, or damaged"):
            read_onnx(bad)


def test_results_that_never_change_are_no_work(tmp_path):
    n = Net()
    fixed = n.node("Add", n.weight(4), n.weight(4))
    with pytest.raises(InputError, match="nothing runs"):
        read_onnx(saved(tmp_path, n.model({"x": [1, 4]}, [fixed])))
    y = n.node("Relu", "x")
    graph = read_onnx(saved(tmp_path, n.model({"x": [1, 4]}, [fixed, y])))
    assert graph.outputs == (y,)
    assert peak_activation_bytes(graph) == 2 * 4 * 4


def test_damaged_bytes_never_give_more_than_one_line(tmp_path):
    model, sizes, _, _ = encoder()
    content = model.SerializeToString()
    random = np.random.default_rng(0)
    path, refused = tmp_path / "damaged.onnx", 0
    for _ in range(60):
        damaged = bytearray(content)
        for place in random.integers(0, len(damaged), 40):
            damaged[place] = random.integers(256)
        path.write_bytes(bytes(damaged))
        try:
            read_onnx(path, sizes)
        except InputError as error:
            refused += "\n" not in str(error)
    assert refused > 10


def test_wrong_fields_of_a_scenario_are_named():
    on = {"device": "nvidia-a100-sxm-80gb"}
    for model, batch, complaint in (
        ({"onnx": "m.onnx", "sizes": {"seq": 0}}, 1, "model: sizes.seq is 0, which should be greater"),
        ({"onnx": "m.onnx", "size": {"seq": 1}}, 1, "unknown field 'size': did you mean sizes"),
        ({"onnx": "m.onnx", "sizes": {"batch": 2}}, 4, "batch and model.sizes.batch are one and the same"),
    ):
        with pytest.raises(InputError, match=complaint):
            scenario_of({"kind": "inference", "model": model, "batch": batch, **on})


def test_missing_external_numbers_are_named(tmp_path):
    model, sizes, _, _ = encoder()
    path = tmp_path / "apart.onnx"
    onnx.save(model, str(path), save_as_external_data=True, location="numbers.bin", size_threshold=0)
    assert count(read_onnx(path, sizes)).parameters > 0
    (tmp_path / "numbers.bin").unlink()
    with pytest.raises(InputError, match=r"cannot be read from numbers\.bin"):
        read_onnx(path, sizes)


def test_empty_inputs_and_inputs_too_small_are_refused(tmp_path):
    n = Net()
    y = n.node("Conv", "x", n.weight(4, 3, 7, 7))
    with pytest.raises(InputError, match="input x is empty"):
        read_onnx(saved(tmp_path, n.model({"x": [1, 3, 0, 9]}, [y])))
    with pytest.raises(InputError, match="too small"):
        read_onnx(saved(tmp_path, n.model({"x": [1, 3, 4, 4]}, [y])))


def test_a_file_that_only_renames_its_input_is_refused_in_a_line(tmp_path):
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [2, 3]) for name in "xy")
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "g", [x], [y])
    file = saved(tmp_path, helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]))
    with pytest.raises(InputError, match="nothing runs"):
        infer(InferenceScenario(model={"onnx": str(file)}, device="nvidia-t4-16gb"))
