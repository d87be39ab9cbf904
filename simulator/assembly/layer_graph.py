"""From the models of a scenario that are no transformers to lists of layers."""

from __future__ import annotations

from dataclasses import replace

from simulator.errors import InputError
from simulator.specs.inference import BATCH_NAMES, FamilySpec, OnnxSpec
from simulator.specs.training import TrainingScenario
from simulator.specs.training_graph import (
    AggregationSpec,
    ConvolutionSpec,
    ElementwiseSpec,
    GatherSpec,
    GraphNetworkSpec,
    LayerGraphSpec,
    NodeSpec,
    ProductSpec,
)
from simulator.workloads.graphs.catalogue import family_model, graph_model, graph_model_names
from simulator.workloads.graphs.graph import Model
from simulator.workloads.graphs.onnx_import import read_onnx
from simulator.workloads.operators import Aggregation, Convolution, Elementwise, Gather, Gemm
from simulator.workloads.training.graph_network import GraphNetwork
from simulator.workloads.training.layer_graph import GraphLayer, GraphOperator, LayerGraph, Node
from simulator.workloads.training.operator_graph import layer_graph


def layer_graph_of(scenario: TrainingScenario) -> LayerGraph | None:
    """The model of a scenario as layers, None if it is a transformer. Raises `InputError` for parts that are uneven."""
    given = scenario.model
    if isinstance(given, str):
        return _trained(graph_model(given)) if given.strip().lower() in graph_model_names() else None
    if isinstance(given, FamilySpec):
        return _trained(family_model(given.family, given.family, **given.options))
    if isinstance(given, OnnxSpec):
        return layer_graph(read_onnx(given.onnx, given.sizes, usual=dict.fromkeys(BATCH_NAMES, 1)))
    if isinstance(given, LayerGraphSpec):
        layers = [GraphLayer(tuple(map(_node, x.operators))) for x in given.graph for _ in range(x.count)]
        return LayerGraph(given.name, tuple(layers))
    if isinstance(given, GraphNetworkSpec):
        if scenario.batch.micro > 1:
            raise InputError("batch.micro: parts of a graph go one by one, set it to 1 and change batch.global_size")
        network = GraphNetwork(
            given.gnn, given.vertices, given.edges, given.features, given.hidden, given.classes, given.layers,
            given.boundary, scenario.dropout,
        )  # fmt: skip
        return network.graph(given.name, scenario.batch.global_size, scenario.layout.data)
    return None


def _trained(model: Model) -> LayerGraph:
    if len(model.parts) > 1:
        parts = ", ".join(part.graph.name for part in model.parts)
        raise InputError(f"model: {model.name} is several networks ({parts}): train one of them")
    return replace(layer_graph(model.parts[0].graph), name=model.name)


def _node(spec: NodeSpec) -> Node:
    return Node(spec.name, _operator(spec.operators[0]), spec.parameters, spec.kept)


def _operator(spec: object) -> GraphOperator:
    if isinstance(spec, ProductSpec):
        return Gemm(spec.m, spec.n, spec.k, batch=float(spec.batch))
    if isinstance(spec, ConvolutionSpec):
        return Convolution.square(1, **spec.model_dump())
    if isinstance(spec, ElementwiseSpec):
        return Elementwise(**spec.model_dump())
    if isinstance(spec, GatherSpec):
        return Gather(**spec.model_dump())
    assert isinstance(spec, AggregationSpec)
    return Aggregation(**spec.model_dump())
