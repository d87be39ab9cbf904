"""A training step as a graph: work and memory by closed forms, and published memory of training on devices."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.errors import InputError
from simulator.inference import infer
from simulator.specs.inference import InferenceScenario
from simulator.workloads.graphs.backward.trained import Trained, biases, trained_elements
from simulator.workloads.graphs.builder import Builder
from simulator.workloads.graphs.catalogue import graph_model
from simulator.workloads.graphs.counting import count, macs
from simulator.workloads.graphs.lowering import node_kernels
from simulator.workloads.graphs.memory.ordering import LeastMemory
from simulator.workloads.graphs.memory.plan import plan_memory
from simulator.workloads.graphs.rewrites import Fuse, Train

SIZE = 4 * 16 * 8 * 8  # bytes of an image of the chain below


def chain(layers: int = 3, act: str = "Relu"):
    g = Builder("chain")
    x = g.input(1, 16, 8, 8)
    for _ in range(layers):
        x = g.act(g.conv(x, 16, 3, bias=True), act)
    return g.build(x)


def graph(name: str, batch: int = 1):
    return graph_model(name, batch).parts[0].graph


def peak(of, **options):
    return plan_memory(Train(**options)(of)).peak


@pytest.mark.parametrize("name", ["resnet-18", "mobilenet-v3-small", "densenet-121", "vit-b-32", "swin-t", "yolov8n"])
def test_gradients_of_products_take_twice_the_forward_pass(name):
    of = graph(name)
    first = next(n for n in of.nodes if any(of.tensors[i].weight for i in n.inputs if i))
    spared = sum(macs(kernel.op) for kernel in node_kernels(of, first))
    found = count(Train()(of))
    assert found.macs == pytest.approx(3.0 * count(of).macs - spared)
    assert found.parameters == count(of).parameters
    trained = Trained()(of)
    assert trained_elements(of, trained) == pytest.approx(float(count(of).parameters))
    updated = [n for n in Train()(of).nodes if n.type == "Update"]
    assert len(updated) == sum(n in trained for node in of.nodes for n in node.inputs)


def test_each_matrix_of_a_recurrent_layer_has_one_gradient():
    g = Builder("speech")
    of = g.build(g.linear(g.lstm(g.linear(g.input(5, 2, 8), 16), 16), 4))
    assert count(Train()(of)).macs == 3 * count(of).macs - 5 * 2 * 8 * 16


@given(st.integers(1, 8))
@settings(max_examples=8)
def test_a_chain_keeps_the_operand_of_each_layer_until_its_gradient(layers):
    """At the last layer's gradients: the operands of all layers, the result and its gradient, over its mask."""
    of = chain(layers)
    masked = SIZE / 32
    # in front of the last layer's backward pass: operands, logits, the gradient, a bit for each rectified number that
    # no later layer keeps, and at most one more image where a gradient cannot be written over what it reads
    found = peak(of)
    assert (layers + 2) * SIZE <= found <= (layers + 3) * SIZE + masked + 4 * (16 * 16 * 9 + 16)
    biased = peak(of, scheme="biases")
    assert biased <= 4 * SIZE + layers * masked + 4 * (16 * 16 * 9 + 16)


def test_without_masks_biases_keep_the_results_of_rectifiers():
    of = chain(6)
    saved = peak(of, scheme="biases", masks=False) - peak(of, scheme="biases")
    # each but the last, which stays as the result anyway; of the others a bit a number is left
    assert saved == pytest.approx(5 * SIZE * (1 - 1 / 32), rel=0.25)


def test_smooth_activations_keep_their_operands_in_any_case():
    """TinyTL, section 3.1: sigmoids and the like need full activations where rectifiers need a bit."""
    more = peak(chain(6, "HardSwish"), scheme="biases") - peak(chain(6), scheme="biases")
    assert more >= 4 * SIZE


def test_only_layers_behind_the_first_that_is_trained_have_gradients():
    of = graph("resnet-18", 8)
    last = Train(scheme="last", layers=1)(of)
    assert plan_memory(last).peak == plan_memory(of).peak
    assert count(last).macs == pytest.approx(count(of).macs + 8 * 512 * 1000)
    peaks = [peak(of, scheme="last", layers=layers) for layers in (1, 4, 8, 21)]
    assert peaks == sorted(peaks)


def test_gradients_that_wait_for_the_end_are_all_there_at_once():
    of = graph("resnet-18")
    waiting = peak(of, early=False)
    assert waiting > 4 * 11_689_512 > peak(of)


def test_recomputation_trades_a_forward_pass_for_activations():
    of = graph("resnet-50", 4)
    whole, again = Train()(of), Train(recompute=True)(of)
    more = count(again).macs - count(whole).macs
    assert 0.97 * count(of).macs <= more <= count(of).macs
    assert plan_memory(again).peak < 0.5 * plan_memory(whole).peak


def test_optimisers_keep_their_numbers_all_the_time():
    of = graph("resnet-18")
    more = plan_memory(Train(states=2)(of)).live - plan_memory(Train()(of)).live
    assert more == pytest.approx(np.full(len(more), 2 * 4 * 11_689_512))


def test_sparse_updates_keep_and_multiply_a_share_of_the_channels():
    of = graph("mobilenet-v2")
    conv = [n.name for n in of.nodes if n.type == "Conv"][-4]
    half, whole = (Train(scheme="sparse", layers=1, weights={conv: share})(of) for share in (0.5, 1.0))
    (part,) = [n for n in half.nodes if n.type == "Slice"]
    operand = of.tensors[part.inputs[0]]
    assert half.tensors[part.outputs[0]].elements == operand.elements / 2
    (filters,) = [of.tensors[n] for node in of.nodes if node.name == conv for n in node.inputs[1:]]
    positions = of.tensors[conv].elements / filters.shape[0]
    assert count(whole).macs - count(half).macs == pytest.approx(filters.elements * positions / 2)


def test_patterns_of_nothing_and_shares_above_one_are_refused():
    with pytest.raises(InputError, match="no node"):
        Train(scheme="sparse", weights={"nothing*": 0.5})(chain())
    with pytest.raises(InputError, match="share"):
        Train(scheme="sparse", weights={"*": 2.0})(chain())
    with pytest.raises(InputError, match="fused"):
        Train()(Fuse()(chain()))


def test_biases_are_what_is_added():
    of = graph("vit-b-32")
    added = {name for node in of.nodes for name in biases(of, node)}
    assert all(len(of.tensors[n].shape) == 1 or node_adds(of, n) for n in added)
    norms = [n for n in of.nodes if n.type == "LayerNormalization"]
    assert all(n.inputs[2] in added and n.inputs[1] not in added for n in norms)


def node_adds(of, name):
    return any(node.type == "Add" and name in node.inputs for node in of.nodes)


def test_mobilenet_v2_takes_its_published_memory_to_train():
    """452 MB at batch 8 in fp32, weights included (Cai et al., TinyTL, arXiv:2007.11622, figure 1, left)."""
    found = peak(graph("mobilenet-v2", 8)) + 4 * 3_504_872
    assert found / 1e6 == pytest.approx(452, rel=0.02)


def test_smaller_networks_save_parameters_but_hardly_activations():
    """MobileNetV2-1.4 against ResNet-50: parameters 4.3 times fewer, activations 1.1 times (the same figure, right)."""
    large, small = graph("resnet-50", 16), graph("mobilenet-v2-1.4", 16)
    assert float(count(large).parameters / count(small).parameters) == pytest.approx(4.3, rel=0.05)
    assert peak(large) / peak(small) == pytest.approx(1.1, rel=0.05)


def test_training_biases_saves_most_of_the_memory():
    """6.5 times with lite residual modules beside them, which take a few per cent more (TinyTL, abstract)."""
    of = graph("proxylessnas-mobile", 8)
    weights = 4 * float(count(of).parameters)
    assert 6.5 < (peak(of) + weights) / (peak(of, scheme="biases") + weights) < 10.0


def test_a_step_runs_on_a_device_with_a_planned_memory():
    fields = {"model": "mobilenet-v2", "device": "nvidia-t4-16gb", "format": "fp16", "batch": 8, "runtime": "eager"}
    train = {"rewrites": [{"policy": "train", "options": {"scheme": "all", "states": 1}}], "memory": {}}
    step = infer(InferenceScenario.model_validate({**fields, **train}))
    forward = infer(InferenceScenario.model_validate({**fields, "memory": {}}))
    assert 2.0 < step.seconds / forward.seconds < 6.0
    assert step.summary["parameters"] == forward.summary["parameters"]
    assert step.memory.largest.peak > 5 * forward.memory.largest.peak
    assert LeastMemory()(step.memory.largest.graph, "pointwise")


def test_only_trained_weights_leave_the_flash():
    fields = {"model": "mobilenet-v2", "device": "nvidia-t4-16gb", "memory": {"weights": "in-place"}}
    train = {"rewrites": [{"policy": "train", "options": {"scheme": "last"}}]}
    step = infer(InferenceScenario.model_validate({**fields, **train}))
    assert step.memory.weights == 4 * (1280 + 1) * 1000
    fields["memory"] = {"paging": {"bandwidth_gb_s": 1}}
    with pytest.raises(InputError, match="training"):
        infer(InferenceScenario.model_validate({**fields, **train}))
