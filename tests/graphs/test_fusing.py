"""Fusion keeps arithmetic and drops traffic: exactly that of the tensors that no longer reach memory."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.workloads.graphs.builder import Builder
from simulator.workloads.graphs.catalogue import graph_model
from simulator.workloads.graphs.counting import count
from simulator.workloads.graphs.lowering import kernels
from simulator.workloads.graphs.rewrites import Fuse


def residual_block():
    g = Builder("block")
    x = g.input(1, 8, 16, 16)
    y = g.act(g.conv(x, 8, 3))
    y = g.conv(y, 8, 3)
    return g.build(g.act(g.add(y, x)))


def test_a_residual_block_becomes_two_kernels_that_read_the_shortcut_once():
    graph = residual_block()
    fused = Fuse()(graph)
    assert [n.type for n in fused.nodes] == ["Conv", "Conv"]
    size, weights = 8 * 16 * 16 * 4, 8 * 8 * 9 * 4
    # each convolution reads an image and its weights and writes one; the second reads the shortcut too
    assert sum(k.op.bytes() for k in kernels(fused)) == 5 * size + 2 * weights
    assert count(fused).flops == count(graph).flops


def test_a_result_that_two_nodes_read_stays_in_memory():
    g = Builder("g")
    x = g.input(1, 8, 16, 16)
    y = g.conv(x, 8, 3)
    graph = g.build(g.concat([g.act(y), g.act(y, "Sigmoid")]))
    assert len(Fuse()(graph).nodes) == len(graph.nodes)


def test_an_output_of_the_graph_stays_in_memory():
    g = Builder("g")
    y = g.conv(g.input(1, 8, 16, 16), 8, 3)
    graph = g.build(y, g.act(y))
    assert len(Fuse()(graph).nodes) == 2


@given(st.lists(st.sampled_from(["Relu", "Sigmoid", "conv", "add", "norm", "pool"]), min_size=1, max_size=12))
def test_fused_graphs_do_the_same_arithmetic_with_less_traffic(steps):
    g = Builder("g")
    x = g.input(1, 8, 32, 32)
    earlier = [x]
    for step in steps:
        if step == "conv":
            x = g.conv(x, 8, 3)
        elif step == "add":
            x = g.add(x, earlier[-2] if len(earlier) > 1 else x)
        elif step == "norm":
            x = g.batch_norm(x)
        elif step == "pool":
            x = g.max_pool(x, 3, 1, 1)
        else:
            x = g.act(x, step)
        earlier.append(x)
    graph = g.build(x)
    fused = Fuse(fold=False)(graph)
    assert count(fused).macs == count(graph).macs
    assert count(fused).flops == pytest.approx(count(graph).flops)
    assert count(fused).bytes <= count(graph).bytes * (1 + 1e-12)
    assert len(fused.nodes) <= len(graph.nodes)
    assert sum(len(n.parts) for n in fused.nodes) == len(graph.nodes)


def test_batch_norms_fold_into_convolutions():
    (part,) = graph_model("resnet-50").parts
    fused = Fuse()(part.graph)
    assert not any(p.type == "BatchNormalization" for n in fused.nodes for p in n.parts)
    assert len(fused.nodes) == 53 + 1 + 1 + 1 + 1  # convolutions, pooling, mean, flatten, classifier
