"""Models that are lists of layers: published counts, gradients by rule, and the same engine as transformers."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from simulator.engine.training.laying_out import step_of
from simulator.engine.training.memory import stage_memory
from simulator.engine.training.step import Step
from simulator.errors import InputError
from simulator.report.training.summary import breakdown
from simulator.specs.training import TrainingScenario
from simulator.specs.validating import validated
from simulator.training import load_training, train
from simulator.workloads.dtypes import DTYPES
from simulator.workloads.graphs.catalogue import graph_model
from simulator.workloads.operators import AnyOperator, Collective, Convolution, Elementwise, Gather, Gemm
from simulator.workloads.training.block import Block
from simulator.workloads.training.chunks import chunks_of
from simulator.workloads.training.gradients import block_of
from simulator.workloads.training.job import Formats, Job, Layout
from simulator.workloads.training.layer_graph import GraphLayer, LayerGraph, Node
from simulator.workloads.training.operator_graph import layer_graph
from simulator.workloads.training.passes import passes_of

SCENARIOS = Path(__file__).parents[2] / "simulator" / "scenarios" / "training"
FP16 = Formats(DTYPES["fp16"], DTYPES["fp16"], DTYPES["fp16"])
# torchvision's documentation: parameters, and GFLOPS counted as multiply-adds, of its v1.5 networks at 224 x 224.
PUBLISHED = {"resnet-50": (25_557_032, 4.09e9), "resnet-101": (44_549_160, 7.80e9), "resnet-152": (60_192_808, 11.51e9)}


def resnet(name: str) -> LayerGraph:
    return layer_graph(graph_model(name).parts[0].graph)


def mlp(width: int = 256, layers: int = 4) -> LayerGraph:
    nodes = (Node("product", Gemm(1, width, width)), Node("rectifier", Elementwise(width, 1.0, 1.0)))
    return LayerGraph("mlp", (GraphLayer(nodes),) * layers)


def job(model: LayerGraph, *, micro: int = 4, batch: int = 32, **rest: Any) -> Job[LayerGraph]:
    return Job(model, 1, micro, batch, formats=FP16, **rest)


def step(given: Job[LayerGraph]) -> Step:
    return step_of(given, "nvidia-a100-sxm-80gb")


def flops(operators: Iterable[AnyOperator]) -> float:
    return sum(float(np.asarray(op.flops())) for op in operators if isinstance(op, Gemm | Convolution))


@pytest.mark.parametrize("name", PUBLISHED)
def test_residual_networks_have_their_published_size_and_work(name: str) -> None:
    parameters, macs = PUBLISHED[name]
    found = resnet(name)
    assert found.parameters() == parameters
    assert flops(n.op for layer in found.layers for n in layer.nodes) / 2.0 == pytest.approx(macs, rel=0.005)


def test_training_takes_three_times_the_forward_pass_but_for_the_stem() -> None:
    given = job(resnet("resnet-50"))
    passes = passes_of(given, 0)
    forward = flops(c.op for c in passes.forward for _ in range(c.count))
    back = flops(c.op for c in (*passes.inputs, *passes.weights) for _ in range(c.count))
    stem = 2.0 * 64 * 112 * 112 * 3 * 49 * 4
    assert back == pytest.approx(2.0 * forward - stem)


def numbers(node: Node) -> Block:
    return block_of(node, 8.0, FP16)


def test_gradients_of_a_product_are_two_products_on_the_same_matrices() -> None:
    block = numbers(Node("p", Gemm(3, 5, 7)))
    (inputs,), (weights,) = block.inputs, block.weights
    assert isinstance(inputs, Gemm) and isinstance(weights, Gemm)
    assert (inputs.m, inputs.n, inputs.k) == (24, 7, 5)
    assert (weights.m, weights.n, weights.k) == (7, 5, 24)
    assert block.saved == 24 * 7 * 2


def test_a_product_of_activations_has_gradients_of_both_and_no_weights() -> None:
    node = Node("scores", Gemm(3, 5, 7, batch=2.0))
    block = numbers(node)
    assert node.weights == 0.0
    assert (len(block.inputs), len(block.weights)) == (2, 0)
    assert flops(block.inputs) == 2 * flops(block.forward) == 2 * 2 * 3 * 5 * 7 * 16


def test_gradients_of_gathers_read_rows_and_add_them_to_the_table() -> None:
    table = numbers(Node("embedding", Gather(10, 64), parameters=6400.0))
    assert table.inputs == () and table.saved == 0.0
    assert float(np.asarray(table.weights[0].bytes())) == 3 * 80 * 64 * 2
    assert numbers(Node("features", Gather(10, 64))).weights == ()


def test_elementwise_gradients_read_what_came_in_and_what_was_kept() -> None:
    block = numbers(Node("r", Elementwise(100, 1.0, 1.0)))
    assert float(np.asarray(block.inputs[0].bytes())) == 800 * 3 * 2
    assert block.saved == 800 * 2


def test_gathered_rows_are_scattered_back() -> None:
    (back,) = numbers(Node("g", Collective("all_gather", 128.0, 4))).inputs
    assert back == Collective("reduce_scatter", 128.0 * 8 * 2, 4)


def test_a_pipeline_of_layers_keeps_parameters_and_work() -> None:
    whole, split = job(mlp()), job(mlp(), layout=Layout(pipeline=4))
    assert sum(chunks_of(split).parameters(c) for c in range(4)) == whole.model.parameters() == 4 * 256 * 256
    alone = step(whole)
    pipelined = step(split)
    assert sum(pipelined.pass_seconds.forward) == pytest.approx(alone.pass_seconds.forward[0])
    assert chunks_of(split).sent(0) == 4 * 256 * 2
    assert sum(breakdown(pipelined).values()) == pytest.approx(pipelined.step_seconds)
    assert stage_memory(pipelined, 0).activations == pytest.approx(4 * pipelined.passes[0].saved)


def test_full_recomputation_keeps_the_inputs_of_layers() -> None:
    passes = passes_of(job(mlp(), recompute="full"), 0)
    assert passes.saved == 4 * 4 * 256 * 2
    assert passes_of(job(mlp()), 0).saved == 2 * passes.saved
    assert passes.recompute == passes.forward


def test_replicas_share_the_batch_and_reduce_the_gradients() -> None:
    one, eight = step(job(mlp())), step(job(mlp(), layout=Layout(data=8)))
    assert eight.timeline.seconds == pytest.approx(one.timeline.seconds / 8)
    volume = Collective("all_reduce", 4 * 256 * 256 * 2.0, 8)
    assert eight.end.reduce_seconds(0) == pytest.approx(eight.of(volume))


@pytest.mark.parametrize(
    ("layout", "name"),
    [(Layout(tensor=2), "layout.tensor"), (Layout(data=2, zero=1, expert=2), "layout.expert")],
)
def test_what_only_transformers_have_is_refused(layout: Layout, name: str) -> None:
    with pytest.raises(InputError, match=name):
        step(job(mlp(), layout=layout))


def test_scenarios_of_layers_run() -> None:
    found = train(load_training(SCENARIOS / "mlp.yaml")).summary
    assert found["model"]["parameters"] == 2 * 4096 * 16384
    assert found["model_flops"] == (3 * 2 - 1) * 2 * 4096 * 16384 * 8192
    assert found["samples_per_s"] == pytest.approx(8192 / found["step_s"])
    images = train(load_training(SCENARIOS / "resnet-50.yaml")).summary
    assert images["breakdown_s"]["gradient_reduction"] > 0.0


def test_an_operator_needs_exactly_one_kind() -> None:
    with pytest.raises(InputError, match=r"model.*exactly one of product"):
        load_training(SCENARIOS / "mlp.yaml", {"model": {"graph": [{"operators": [{"name": "nothing"}]}]}})


@pytest.mark.parametrize(
    ("model", "message"),
    [({"layers": 2, "hidden": 8}, r"heads is missing"), ({"gnn": "gcn", "edges": 1}, r"vertices is missing")],
)
def test_a_wrong_model_is_told_in_terms_of_its_kind(model: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        validated(TrainingScenario, {"kind": "training", "model": model}, "a training scenario")


def test_offloading_layers_of_a_graph_is_refused() -> None:
    with pytest.raises(InputError, match="offload"):
        train(load_training(SCENARIOS / "resnet-50.yaml", {"offload": {"policy": "zero-offload"}}))
