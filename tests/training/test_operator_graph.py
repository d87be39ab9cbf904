"""Any operator graph as layers to train: the same parameters and work, activations by the rules of differentiation."""

from __future__ import annotations

import numpy as np
import pytest

from simulator.engine.training.laying_out import step_of
from simulator.errors import InputError
from simulator.specs.training import TrainingScenario
from simulator.specs.validating import validated
from simulator.training import train
from simulator.workloads.dtypes import DTYPES
from simulator.workloads.graphs.builder import Builder
from simulator.workloads.graphs.catalogue import graph_model
from simulator.workloads.graphs.counting import count
from simulator.workloads.graphs.onnx_export import write_onnx
from simulator.workloads.operators import Collective, Convolution, Gemm
from simulator.workloads.training.job import Formats, Job, Layout
from simulator.workloads.training.layer_graph import LayerGraph
from simulator.workloads.training.operator_graph import layer_graph
from simulator.workloads.training.passes import Passes, passes_of

FP16 = Formats(DTYPES["fp16"], DTYPES["fp16"], DTYPES["fp16"])
ONE_OF_EACH = [
    "resnet-50", "vgg-16-bn", "mobilenet-v3-large", "densenet-121", "efficientnet-b0", "shufflenet-v2-1.0",
    "squeezenet-1.1", "vit-b-16", "swin-t", "convnext-tiny", "bert-base", "yolov8n", "dit-s-2", "sd-1.5-unet",
]  # fmt: skip


def graph(name: str):
    return graph_model(name).parts[0].graph


def passes(model: LayerGraph, samples: int = 1, **rest) -> Passes:
    return passes_of(Job(model, 1, samples, samples, formats=FP16, **rest), 0)


def products(calls) -> float:
    return sum(float(np.asarray(c.op.flops())) * c.count for c in calls if isinstance(c.op, Gemm | Convolution))


@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_layers_have_the_parameters_and_the_work_of_the_graph(name):
    found, counts = layer_graph(graph(name)), count(graph(name))
    assert found.parameters() == counts.parameters
    whole = passes(found)
    assert products(whole.forward) == pytest.approx(2.0 * counts.macs)
    first = next(n for layer in found.layers for n in layer.nodes if n.weights).op
    # what comes before the first weights needs no gradient, so that a first product has one of its weights alone
    spared = first.flops() if isinstance(first, Gemm | Convolution) else 0.0
    assert products((*whole.inputs, *whole.weights)) == pytest.approx(4.0 * counts.macs - spared)


@pytest.mark.parametrize("name", ["resnet-18", "mobilenet-v2", "vit-b-32", "swin-t"])
def test_blocks_with_shortcuts_stay_whole(name):
    """Stem, the published number of blocks (or two halves of transformer's), head: nothing is cut inside."""
    layers = len(layer_graph(graph(name)).layers)
    assert layers == {"resnet-18": 1 + 8 + 1, "mobilenet-v2": 33, "vit-b-32": 1 + 24 + 1, "swin-t": 29}[name]


def test_a_chain_keeps_each_operand_once():
    """VGG-11 (Simonyan and Zisserman, arXiv:1409.1556, table 1, A): what rectifiers and poolings give, and the image.

    A rectifier's result is the operand of what follows, and its gradient needs no other.
    """
    rectified = 64 * 224**2 + 128 * 112**2 + 2 * 256 * 56**2 + 2 * 512 * 28**2 + 2 * 512 * 14**2 + 2 * 4096
    pooled = 64 * 112**2 + 128 * 56**2 + 256 * 28**2 + 512 * 14**2 + 512 * 7**2
    assert passes(layer_graph(graph("vgg-11"))).saved == 2 * (3 * 224**2 + rectified + pooled + 1000)


def test_full_recomputation_keeps_the_inputs_of_blocks():
    saved = passes(layer_graph(graph("resnet-18")), recompute="full").saved
    stages = 64 * 56**2 + 128 * 28**2 + 256 * 14**2 + 512 * 7**2
    # the image, two blocks a stage (the first of which reads the stage before), the classifier's vector
    inputs = 3 * 224**2 + 2 * stages - 512 * 7**2 + 64 * 56**2 + 512
    assert saved == 2 * inputs


def test_replicas_reduce_as_many_gradients_as_there_are_parameters():
    model = layer_graph(graph("mobilenet-v2"))
    job = Job(model, 1, 32, 256, Layout(data=8), FP16)
    step = step_of(job, "nvidia-a100-sxm-80gb")
    assert step.end.reduce_seconds(0) == pytest.approx(step.of(Collective("all_reduce", 2.0 * 3_504_872, 8)))


def test_scores_of_attention_are_kept_beside_its_operands():
    g = Builder("attention")
    x = g.input(1, 2, 10, 4)
    found = layer_graph(g.build(g.attention(x, x, x)))
    # one operand, the scores of both heads, and what the loss keeps
    assert passes(found).saved == 2 * (2 * 10 * 4 + 2 * 10 * 10 + 2 * 10 * 4)


def test_recurrent_layers_train_step_by_step():
    g = Builder("speech")
    model = g.build(g.lstm(g.input(5, 1, 8), 16))
    found = layer_graph(model)
    assert found.parameters() == count(model).parameters
    assert products(passes(found).forward) == pytest.approx(2.0 * count(model).macs)


def scenario(model, **rest):
    fields = {
        "model": model,
        "device": "nvidia-a100-sxm-80gb",
        "batch": {"sequence": 1, "micro": 16, "global_size": 16},
    }
    return validated(TrainingScenario, {"kind": "training", **fields, **rest}, "a training scenario")


def test_every_model_with_a_graph_can_be_trained_by_name_and_by_its_family():
    named = train(scenario("mobilenet-v2", recompute="full")).summary
    assert named["model"] == {"name": "mobilenet-v2", "parameters": 3_504_872}
    built = train(scenario({"family": "resnet", "options": {"blocks": [2, 2, 2, 2]}})).summary
    assert built["model"]["parameters"] == train(scenario("resnet-18")).summary["model"]["parameters"] == 11_689_512


def test_models_of_several_networks_are_refused():
    with pytest.raises(InputError, match="several networks"):
        train(scenario("stable-diffusion-1.5"))


def test_an_onnx_file_trains_as_the_graph_that_it_holds(tmp_path):
    found = train(scenario({"onnx": str(write_onnx(graph("squeezenet-1.1"), tmp_path / "net.onnx"))})).summary
    assert found["model"]["parameters"] == count(graph("squeezenet-1.1")).parameters
    assert found["step_s"] == pytest.approx(train(scenario("squeezenet-1.1")).step.step_seconds, rel=0.05)
