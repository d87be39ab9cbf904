"""What PyTorch does to a graph: formats, terms, strides and norms change traffic by exactly the tensors they touch."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.workloads.dtypes import DTYPES
from simulator.workloads.graphs.builder import Builder
from simulator.workloads.graphs.catalogue import graph_model
from simulator.workloads.graphs.counting import count
from simulator.workloads.graphs.lowering import kernels
from simulator.workloads.graphs.memory.residency import held_bytes
from simulator.workloads.graphs.rewrites import (
    Autocast,
    ConvertLayouts,
    Fuse,
    FuseNorms,
    JoinBiases,
    SplitBiases,
    Strides,
)

IMAGE = 2 * 8 * 16 * 16  # numbers


def moved(graph):
    return sum(k.op.bytes() * k.count for k in kernels(graph))


def types(graph):
    return [n.type for n in graph.nodes]


def test_products_are_narrow_and_norms_wide_under_autocast():
    g = Builder("g")
    x = g.input(2, 8, 16)
    product = g.matmul(x, g.weight(16, 16))
    norm = g.layer_norm(product)
    total = g.add(norm, product)
    cast = Autocast()(g.build(total))
    formats = {name: cast.tensors[name].dtype.name for name in (product, norm, total)}
    assert formats == {product: "fp16", norm: "fp32", total: "fp32"}
    # the input and the weight go down, the product comes up for the norm; the sum reads both as they are
    assert types(cast) == ["Cast", "Cast", "MatMul", "Cast", "LayerNormalization", "Add"]


def test_a_tensor_with_two_readers_is_converted_once():
    g = Builder("g")
    x = g.input(2, 8, 16, 16)
    graph = Autocast()(g.build(g.conv(x, 8, 3), g.conv(x, 8, 3)))
    assert types(graph).count("Cast") == 3


def test_indices_stay_what_they_are():
    g = Builder("g")
    graph = Autocast()(g.build(g.embedding(g.input(2, 8, name="words", format="int32"), 100, 16)))
    assert graph.tensors["words"].dtype.name == "int32"
    assert types(graph) == ["Gather"]


@pytest.mark.parametrize("name", ["resnet-50", "vit-b-16", "swin-t", "convnext-tiny", "mobilevit-xs"])
def test_autocast_keeps_the_multiply_adds_and_halves_the_bytes_of_products(name):
    graph = graph_model(name).parts[0].graph
    cast = Autocast()(graph)
    assert count(cast).macs == count(graph).macs

    def products(g):
        return sum(k.op.bytes() * k.count for k in kernels(g) if k.type in ("Conv", "MatMul"))

    assert products(cast) == pytest.approx(products(graph) / 2, rel=1e-6)


def test_a_linear_layers_term_costs_only_itself():
    g = Builder("g")
    graph = g.build(g.linear(g.input(64, 16), 32))
    joined = JoinBiases()(graph)
    assert types(joined) == ["MatMul"]
    assert moved(joined) == 4 * (64 * 16 + 16 * 32 + 64 * 32 + 32)


def test_a_shortcut_is_no_term():
    g = Builder("g")
    x = g.input(64, 16)
    graph = JoinBiases()(g.build(g.add(g.linear(x, 16, bias=False), x)))
    assert types(graph) == ["MatMul", "Add"]


def test_a_convolutions_term_costs_another_pass():
    g = Builder("g")
    graph = g.build(g.conv(g.input(2, 8, 16, 16), 8, 3, bias=True))
    split = SplitBiases()(graph)
    assert types(split) == ["Conv", "Add"]
    assert moved(split) - moved(graph) == 4 * (2 * IMAGE + 8)
    assert split.tensors[split.outputs[0]].shape == (2, 8, 16, 16)


def test_heads_are_strides_and_windows_are_copies():
    left = {name: [n for n in Strides()(graph_model(name).parts[0].graph).nodes if n.type == "Transpose"]
            for name in ("vit-b-16", "convnext-tiny", "swin-t")}  # fmt: skip
    assert not left["vit-b-16"]
    assert not left["convnext-tiny"]
    # windows are cut and put together in each of the 12 layers, and positions are merged three times
    assert len(left["swin-t"]) == 2 * 12 + 3
    assert Strides(channels_last=False)(graph_model("convnext-tiny").parts[0].graph).nodes[1].type != "Reshape"


@pytest.mark.parametrize("shared", [True, False])
def test_a_norm_joins_the_sum_before_it(shared):
    g = Builder("g")
    x, y = g.input(2, 8, 16, name="x"), g.input(2, 8, 16, name="y")
    total = g.add(x, y)
    norm = g.layer_norm(total)
    graph = g.build(g.add(norm, total) if shared else norm)
    joined = FuseNorms()(graph)
    assert len(joined.nodes) == len(graph.nodes) - 1
    # the norm no longer reads the sum, nor is that written where nobody else wants it; norms by themselves leave out
    # their factor and term, 16 numbers each
    assert moved(graph) - moved(joined) == 4 * (2 * 8 * 16 * (1 if shared else 2) - 2 * 16)


def test_a_norm_waits_for_its_other_operands():
    g = Builder("g")
    x = g.input(2, 8, 16)
    y = g.act(x)
    scale = g.act(g.weight(16))
    graph = FuseNorms()(g.build(g.add_node("LayerNormalization", [y, scale], axis=-1)))
    assert types(graph) == ["Relu", "Relu", "LayerNormalization"]


def test_names_of_the_same_numbers_do_not_come_between_pointwise_nodes():
    g = Builder("g")
    y = g.act(g.reshape(g.act(g.input(2, 8, 16)), 16, 16), "Sigmoid")
    graph = g.build(y)
    assert len(Fuse(into=())(graph).nodes) == 3
    (one,) = Fuse(into=(), views=True)(graph).nodes
    assert moved(Fuse(into=(), views=True)(graph)) == 4 * 2 * 256
    assert one.written == (y,)


def chain(count):
    g = Builder("g")
    x = g.input(1, 1000)
    for _ in range(count):
        x = g.act(x)
    return g.build(x)


def test_a_chain_finds_in_the_cache_what_was_just_written():
    graph = chain(4)
    size = 4000.0
    # the input comes from memory; each result is read when it and its writer's operand have gone by
    assert held_bytes(graph, 2 * size).tolist() == [0, size, size, size]
    # at a distance of 4/3 of the cache, two thirds are left; at twice the cache nothing
    assert held_bytes(graph, 1.5 * size)[1:] == pytest.approx(size * 2 / 3)
    assert held_bytes(graph, size).sum() == 0
    assert held_bytes(graph, 0.0).sum() == 0


@given(st.floats(1e3, 1e9), st.floats(1.0, 8.0))
def test_a_larger_cache_holds_no_less_and_never_more_than_is_read(cache, factor):
    graph = graph_model("mobilenet-v2", 1, DTYPES["fp16"]).parts[0].graph
    small, large = held_bytes(graph, cache), held_bytes(graph, cache * factor)
    read = np.array([sum(graph.tensors[n].bytes for n in node.read) for node in graph.nodes])
    assert (small <= large + 1e-9).all()
    assert (large <= read).all()


def test_layouts_are_converted_around_dense_convolutions_only():
    g = Builder("g", "fp16")
    x = g.input(2, 8, 16, 16)
    graph = g.build(g.conv(g.conv(x, 8, 3), 8, 3, groups=8))
    found = ConvertLayouts()(graph)
    assert types(found) == ["ReorderInput", "Conv", "ReorderInput", "Conv"]
    assert found.outputs == graph.outputs
    # the image and the result each are read and written once more
    assert moved(found) - moved(graph) == 2 * 4 * IMAGE


def test_wide_convolutions_keep_their_layout():
    graph = graph_model("resnet-18").parts[0].graph
    assert types(ConvertLayouts()(graph)) == types(graph)
