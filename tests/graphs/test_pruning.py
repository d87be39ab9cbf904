"""Pruned graphs against what is left by counting, and what sparse weights take in memory."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.errors import InputError
from simulator.policies.registry import build_policy
from simulator.workloads.graphs.builder import Builder
from simulator.workloads.graphs.catalogue import graph_model
from simulator.workloads.graphs.counting import count, macs
from simulator.workloads.graphs.lowering import kernels
from simulator.workloads.graphs.rewrites import Drop, Factorise, Prune, PruneChannels, PrunePositions
from simulator.workloads.operators.products import Sparse
from simulator.workloads.sparsity import pattern


def graph_of(name, **options):
    return graph_model(name, **options).parts[0].graph


def linear(rows=8, into=512, out=256):
    g = Builder("g", "fp16")
    return g.build(g.linear(g.input(rows, into), out, bias=False))


def test_two_of_four_takes_half_the_weights_and_two_bits_for_each_that_is_kept():
    graph = Prune(pattern="2:4")(linear())
    (launch,) = kernels(graph)
    assert isinstance(launch.op, Sparse)
    weights = 512 * 256
    saved = kernels(linear())[0].op.bytes() - launch.op.bytes()
    assert saved == pytest.approx(weights * 2 - weights / 2 * (2 + 2 / 8))
    assert count(graph).weight_bytes == weights / 2 * (2 + 2 / 8)
    assert count(graph).macs == count(linear()).macs / 2


@pytest.mark.parametrize(
    ("name", "bits"),
    [("unstructured", 0.25 * 32), ("csr", 0.25 * 48), ("bitmap", 0.25 * 16 + 1), ("block-4x1", 0.25 * (16 + 8))],
)
def test_what_is_stored_for_a_quarter_of_16_bit_weights(name, bits):
    assert pattern(name).stored_bits(0.25, 16) == bits


@settings(max_examples=30, deadline=None)
@given(st.floats(0.05, 1.0), st.sampled_from(["unstructured", "csr", "block-16x16"]))
def test_multiply_adds_and_parameters_go_with_density(density, name):
    graph = graph_of("resnet-18")
    pruned = count(Prune(density, pattern=name, ends=False)(graph))
    weights = [n for n in graph.nodes if n.type in ("Conv", "MatMul")][1:-1]
    inner = sum(graph.tensors[n.inputs[1]].elements for n in weights)
    assert count(graph).parameters - pruned.parameters == pytest.approx(inner * (1 - density), abs=1)
    products = [float(k.count * macs(k.op)) for k in kernels(graph) if macs(k.op)]
    assert pruned.macs == pytest.approx(products[0] + density * sum(products[1:-1]) + products[-1])


@pytest.mark.parametrize("name", ["resnet-18", "resnet-50", "vgg-16"])
def test_half_the_channels_are_the_network_of_half_the_width(name):
    """All products but the first and the last have half the inputs and half the outputs: a quarter is left."""
    graph = graph_of(name)
    pruned = PruneChannels(0.5, multiple=1)(graph)
    inner = [n.name for n in graph.nodes if n.type in ("Conv", "MatMul")][1:-1]
    for node in (n for n in graph.nodes if n.name in inner):
        before, after = (g.tensors[node.inputs[1]].elements for g in (graph, pruned))
        assert after == before / 4


def test_depth_wise_convolutions_follow_the_channels_before_them():
    graph = graph_of("mobilenet-v1")
    pruned = PruneChannels(0.5, multiple=1)(graph)
    slim = graph_model("mobilenet-v1", width=0.5).parts[0].graph
    assert count(pruned).macs == count(slim).macs
    assert count(pruned).parameters == count(slim).parameters


def test_what_is_added_up_keeps_as_much_as_its_largest_part():
    g = Builder("g")
    x = g.conv(g.input(1, 3, 16, 16), 32, 3, name="stem")
    y = g.conv(g.conv(x, 32, 3, name="inner"), 32, 3, name="outer")
    graph = g.build(g.conv(g.add(x, y), 8, name="last"))
    pruned = PruneChannels(layers={"stem": 0.25, "outer": 0.5, "inner": 0.25}, multiple=1)(graph)
    shapes = {n.name: pruned.tensors[n.inputs[1]].shape[:2] for n in pruned.nodes if n.type == "Conv"}
    assert shapes == {"stem": (16, 3), "inner": (8, 16), "outer": (16, 8), "last": (8, 16)}


def test_concatenations_shift_what_comes_behind():
    g = Builder("g")
    x = g.input(1, 3, 16, 16)
    both = g.concat([g.conv(x, 32, 3, name="a"), g.conv(x, 64, 3, name="b")])
    graph = g.build(g.linear(g.global_pool(both), 10))
    pruned = PruneChannels(layers={"a": 0.5})(graph)
    assert pruned.tensors[both].shape[1] == 16 + 64
    matrix = next(n for n in pruned.nodes if n.type == "MatMul")
    assert pruned.tensors[matrix.inputs[1]].shape == (80, 10)


@settings(max_examples=20, deadline=None)
@given(st.floats(0.1, 1.0), st.sampled_from(["densenet-121", "shufflenet-v2-1.0", "vit-b-16", "mobilenet-v3-small"]))
def test_channels_go_without_changing_inputs_or_outputs(keep, name):
    graph = graph_of(name)
    pruned = PruneChannels(keep)(graph)
    for end in (*graph.inputs, *graph.outputs):
        assert pruned.tensors[end].shape == graph.tensors[end].shape
    assert count(pruned).macs <= count(graph).macs
    again = PruneChannels(1.0)(pruned)
    assert count(again).parameters == count(pruned).parameters


def test_candidates_side_by_side_are_pruned_as_they_are_alone():
    widths = np.array([64.0, 128.0])

    def pruned(width):
        g = Builder("g")
        x = g.conv(g.conv(g.input(1, 3, 16, 16), width, 3), width, 3)
        return count(PruneChannels(0.5)(g.build(g.linear(g.global_pool(x), 10))))

    together = pruned(widths)
    for i, width in enumerate(widths):
        assert together.macs[i] == pruned(int(width)).macs


def test_positions_that_are_left_out_are_not_multiplied():
    graph = graph_of("resnet-18")
    pruned = PrunePositions(0.5, ends=True)(graph)
    convolved = sum(float(k.count * macs(k.op)) for k in kernels(graph) if k.type == "Conv")
    assert count(graph).macs - count(pruned).macs == pytest.approx(convolved / 2)
    assert count(pruned).bytes == pytest.approx(count(graph).bytes)


@pytest.mark.parametrize(
    ("method", "left"),
    [
        ("svd", 32 * 64 * 9 + 128 * 32), ("spatial", 32 * 64 * 3 + 128 * 32 * 3),
        ("tucker", 32 * 64 + 64 * 32 * 9 + 128 * 64), ("cp", 32 * 64 + 32 * 3 + 32 * 3 + 128 * 32),
    ],
)  # fmt: skip
@pytest.mark.parametrize("stride", [1, 2])
def test_factors_hold_what_their_papers_say(method, left, stride):
    g = Builder("g")
    y = g.conv(g.input(1, 64, 16, 16), 128, 3, stride)
    graph = g.build(y)
    thin = Factorise(share=0.5, method=method, ends=True)(graph)
    assert count(thin).parameters == left
    assert thin.tensors[y].shape == graph.tensors[y].shape


def test_a_matrix_of_rank_r_holds_r_rows_and_columns():
    assert count(Factorise(rank=16, ends=True)(linear())).parameters == 16 * (512 + 256)


def test_a_dropped_residual_block_leaves_the_shortcut():
    g = Builder("g")
    x = g.conv(g.input(1, 3, 8, 8), 8, 3, name="stem")
    y = g.add(x, g.conv(g.act(g.conv(x, 8, 3)), 8, 3))
    graph = g.build(g.conv(y, 4, name="last"))
    assert [n.name for n in Drop(["Add"])(graph).nodes] == ["stem", "last"]
    sometimes = Drop(["Add"], kept=0.25)(graph)
    block = 2 * 8 * 8 * 9 * 64
    assert count(sometimes).parameters == count(graph).parameters
    assert count(sometimes).macs == pytest.approx(count(graph).macs - 0.75 * block)


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("prune", {}, "give density"), ("prune", {"density": 1.5}, "density is 1.5"),
        ("prune", {"density": 0.5, "pattern": "5:4"}, "5:4"),
        ("prune", {"density": 0.5, "kernels": "x"}, "choose skip"),
        ("prune-channels", {}, "give keep"), ("prune-channels", {"keep": 0.0}, "keep is 0.0"),
        ("prune-channels", {"layers": {"conv_x": 0.5}}, "conv_x"), ("factorise", {}, "give one of rank and share"),
        ("factorise", {"rank": 4, "method": "qr"}, "qr"), ("drop", {}, "give nodes"),
        ("drop", {"nodes": ["MatMul"]}, "operand of its result's shape"),
        ("prune-positions", {"kept": 2.0}, "kept is 2"),
    ],
)  # fmt: skip
def test_wrong_options_are_one_line(name, options, words):
    g = Builder("g")
    graph = g.build(g.linear(g.linear(g.linear(g.input(1, 8), 16), 32), 4))
    with pytest.raises(InputError, match=words):
        build_policy("rewrite", name, options)(graph)
