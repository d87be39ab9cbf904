"""Kernels and branches that become one: the same arithmetic, less traffic, the published deployed networks."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.workloads.graphs.builder import Builder
from simulator.workloads.graphs.catalogue import graph_model
from simulator.workloads.graphs.counting import count, macs
from simulator.workloads.graphs.lowering import kernels
from simulator.workloads.graphs.rewrites import (
    Fold,
    Fuse,
    FuseAttention,
    FuseBlocks,
    FuseSideBySide,
    PruneChannels,
    Reparameterise,
    SparseAttention,
)
from simulator.workloads.graphs.rewrites.block_fusion import recomputed
from simulator.workloads.operators.products import Chained, FullAttention


def repvgg(widths=(48, 48, 96, 192, 1280), blocks=(1, 2, 4, 14, 1), *, branches=True):
    """RepVGG-A0 (arXiv:2101.03697, tables 2 and 3), as trained or as deployed."""
    g = Builder("repvgg")
    x = g.input(1, 3, 224, 224)
    for width, count_ in zip(widths, blocks, strict=True):
        for block in range(count_):
            stride = 2 if block == 0 else 1
            if branches:
                y = g.add(g.batch_norm(g.conv(x, width, 3, stride)), g.batch_norm(g.conv(x, width, 1, stride)))
                if stride == 1 and g.channels(x) == width:
                    y = g.add(y, g.batch_norm(x))
            else:
                y = g.conv(x, width, 3, stride, bias=True)
            x = g.act(y)
    return g.build(g.linear(g.global_pool(x), 1000))


def test_trained_branches_become_the_deployed_network():
    """Its authors give 8.30 million parameters deployed and 9.11 million trained, and 1.4 G multiply-adds."""
    trained, deployed = repvgg(), repvgg(branches=False)
    merged = Reparameterise()(trained)
    assert count(trained).parameters == pytest.approx(9.11e6, rel=0.002)
    assert count(merged).parameters == count(deployed).parameters == pytest.approx(8.31e6, rel=0.002)
    assert count(merged).macs == count(deployed).macs == pytest.approx(1.36e9, rel=0.02)
    assert [n.type for n in merged.nodes] == [n.type for n in deployed.nodes]


def test_a_sum_of_unlike_branches_stays():
    g = Builder("g")
    x = g.input(1, 8, 16, 16)
    graph = g.build(g.add(g.conv(g.act(g.conv(x, 8, 3)), 8, 3), x))
    assert [n.type for n in Reparameterise()(graph).nodes] == [n.type for n in graph.nodes]


def test_depth_wise_branches_merge_with_their_shortcut():
    """RepViT's token mixer (arXiv:2307.09283): 3 x 3 and 1 x 1 on each channel alone, and the identity."""
    g = Builder("g")
    x = g.act(g.conv(g.input(1, 3, 16, 16), 16, 3))
    y = g.batch_norm(g.add(g.add(g.batch_norm(g.conv(x, 16, 3, groups=16)), g.conv(x, 16, 1, groups=16)), x))
    merged = Reparameterise()(g.build(y))
    assert [n.type for n in merged.nodes] == ["Conv", "Relu", "Conv", "BatchNormalization"]
    assert count(Fold()(merged)).parameters == 3 * 16 * 9 + 16 * 9 + 16


def test_queries_keys_and_values_read_their_operand_once():
    graph = graph_model("vit-b-16").parts[0].graph
    joined = FuseSideBySide()(graph)
    assert sum(n.type == "ParallelMatMul" for n in joined.nodes) == 12
    assert count(joined).macs == count(graph).macs
    assert count(joined).parameters == count(graph).parameters
    tokens = 197 * 768 * 4
    # two reads of the operand go, and the terms' passes over the results
    assert count(graph).bytes - count(joined).bytes == pytest.approx(12 * (2 + 3 * 2) * tokens, rel=0.01)


def test_attention_in_one_kernel_leaves_the_scores_out_of_memory():
    g = Builder("g")
    q, k, v = (g.input(2, 8, 256, 64, name=name) for name in "qkv")
    graph = g.build(g.attention(q, k, v))
    fused = FuseAttention()(graph)
    (launch,) = kernels(fused)
    assert isinstance(launch.op, FullAttention)
    scores = 2 * 8 * 256 * 256 * 4
    assert count(graph).bytes - launch.op.bytes() == 4 * scores
    assert count(fused).flops == count(graph).flops
    assert count(fused).macs == count(graph).macs


def test_a_share_of_the_pairs_is_that_share_of_the_work():
    g = Builder("g")
    q, k, v = (g.input(1, 4, 512, 64, name=name) for name in "qkv")
    graph = FuseAttention()(g.build(g.attention(q, k, v)))
    for share in (0.25, 0.5):
        assert count(SparseAttention(share)(graph)).flops == pytest.approx(share * count(graph).flops)
    assert count(SparseAttention(0.5, least=1024)(graph)).flops == count(graph).flops


def chain(kernel=3, channels=16, size=64):
    g = Builder("g")
    x = g.input(1, channels, size, size)
    return g.build(g.conv(g.act(g.conv(x, channels, kernel)), channels, kernel))


def test_a_block_moves_its_ends_and_its_weights_only():
    graph = chain()
    (node,) = FuseBlocks(cache_kb=1e6)(graph).nodes
    (launch,) = kernels(FuseBlocks(cache_kb=1e6)(graph))
    assert isinstance(launch.op, Chained)
    size, weights = 16 * 64 * 64 * 4, 2 * 16 * 16 * 9 * 4
    assert launch.op.bytes() == 2 * size + weights
    assert count(FuseBlocks(cache_kb=1e6)(graph)).macs == count(graph).macs
    assert node.attributes["recomputed"] == [1.0, 1.0]


@given(st.sampled_from([1, 3, 5, 7]), st.sampled_from([8, 16, 32]))
def test_edges_of_tiles_are_counted(kernel, side):
    """Tiles of side t need (t + k - 1) of the first result in each direction, up to all of it."""
    graph = chain(kernel)
    convs = [n for n in graph.nodes if n.type == "Conv"]
    first, last = recomputed(graph, convs, side)
    assert last == 1.0
    assert first == pytest.approx((np.ceil(64 / side) * min(side + kernel - 1, 64) / 64) ** 2)


def test_small_caches_leave_convolutions_apart():
    assert len(FuseBlocks(cache_kb=1.0)(chain()).nodes) == 3


@given(st.lists(st.sampled_from(["conv", "Relu", "norm", "pool", "add"]), min_size=1, max_size=9), st.floats(8, 512))
def test_blocks_keep_all_arithmetic_in_order(steps, cache):
    g = Builder("g")
    x = g.conv(g.input(1, 8, 32, 32), 8, 3)
    first = x
    for step in steps:
        if step == "conv":
            x = g.conv(x, 8, 3)
        elif step == "add":
            x = g.add(x, first)
        elif step == "norm":
            x = g.batch_norm(x)
        else:
            x = g.max_pool(x, 3, 1, 1) if step == "pool" else g.act(x)
    graph = g.build(x)
    fused = Fuse()(FuseBlocks(cache_kb=cache)(graph))
    assert count(fused).macs == count(graph).macs
    assert count(fused).bytes <= count(graph).bytes * (1 + 1e-12)


def test_rewrites_follow_one_another():
    """A trained network, merged, pruned to half its channels and fused: a quarter of the inner products is left."""
    graph = Fuse()(PruneChannels(0.5, multiple=1)(Reparameterise()(repvgg())))
    whole = repvgg(branches=False)
    left, before = ([float(macs(k.op)) for k in kernels(g) if macs(k.op)] for g in (graph, whole))
    assert left[1:-1] == pytest.approx([m / 4 for m in before[1:-1]])
