"""Quantised graphs: the same arithmetic on narrower numbers, with conversions where they are needed only."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.errors import InputError
from simulator.policies.registry import build_policy
from simulator.workloads.dtypes import DTYPES
from simulator.workloads.graphs.builder import Builder
from simulator.workloads.graphs.catalogue import graph_model
from simulator.workloads.graphs.counting import count, macs
from simulator.workloads.graphs.lowering import kernels
from simulator.workloads.graphs.rewrites import Fold, Fuse, LookUp, Quantise
from simulator.workloads.operators import Convolution, Fused, Gemm
from simulator.workloads.operators.products import BitSerial, Lookup


def graph_of(name, **options):
    return graph_model(name, **options).parts[0].graph


def product_of(op):
    return product_of(op.main) if isinstance(op, Fused) else op


def chain():
    """Four convolutions, the second and the third beside a shortcut."""
    g = Builder("chain", "fp16")
    x = g.act(g.conv(g.input(1, 8, 16, 16), 8, 3))
    y = g.act(g.conv(x, 8, 3))
    x = g.act(g.add(g.conv(y, 8, 3), x))
    return g.build(g.conv(x, 8, 3))


@pytest.mark.parametrize("format", ["int8", "int4", "int2", "ternary", "binary_wo"])
def test_weights_alone_shrink_to_their_format(format):
    graph = graph_of("vit-b-16")
    small = count(Quantise(format, ends=True)(graph))
    products = [graph.tensors[n.inputs[1]] for n in graph.nodes if n.type in ("MatMul", "Conv")]
    saved = sum(t.elements for t in products) * (4.0 - DTYPES[format].bytes)
    assert count(graph).weight_bytes - small.weight_bytes == pytest.approx(saved)
    assert small.macs == count(graph).macs


def test_inner_layers_run_on_int8_and_hand_int8_on():
    graph = chain()
    fused = Fuse()(Quantise("int8", "int8")(graph))
    ops = [product_of(k.op) for k in kernels(fused) if macs(k.op)]
    assert [op.compute for op in ops] == ["fp16", "int8", "int8", "fp16"]
    # every result between two int8 products, or between one and an addition, is written in one byte a number
    size, byte = 8 * 16 * 16, DTYPES["int8"].bytes
    second = next(n for n in fused.nodes if n.name == "conv_2")
    assert sum(fused.tensors[n].bytes for n in second.written) == pytest.approx(size * byte)
    shortcut = next(n for n in fused.nodes if n.name == "conv_4")
    assert "relu_1.int8" in shortcut.read


def test_accumulators_are_written_where_nothing_joins():
    graph = chain()
    plain = Quantise("int8", "int8")(graph)
    sums = [plain.tensors[name] for node in plain.nodes for name in node.outputs if name.endswith(".sums")]
    assert len(sums) == 2
    assert all(t.dtype.bits == 32 for t in sums)


def test_a_range_that_is_not_known_costs_a_pass_over_the_input():
    graph = chain()
    static, dynamic = (Quantise("int8", "int8", dynamic=d)(graph) for d in (False, True))
    assert sum(n.type == "ReduceMax" for n in dynamic.nodes) == sum(n.type == "QuantizeLinear" for n in static.nodes)
    assert count(dynamic).bytes > count(static).bytes


def test_layers_have_formats_of_their_own():
    table = {"conv_2": {"weights": "int4_int4", "activations": "int4_int4"}}
    graph = Quantise("int8", "int8", layers=table)(chain())
    ops = [product_of(k.op) for k in kernels(graph) if macs(k.op)]
    assert [op.compute for op in ops] == ["fp16", "int4", "int8", "fp16"]


@given(st.lists(st.sampled_from(["conv", "Relu", "add", "norm"]), min_size=1, max_size=10), st.booleans())
def test_quantising_never_changes_how_much_is_multiplied(steps, dynamic):
    g = Builder("g", "fp16")
    x = g.conv(g.input(1, 4, 8, 8), 4, 3)
    earlier = [x]
    for step in steps:
        if step == "conv":
            x = g.conv(x, 4, 3)
        elif step == "add":
            x = g.add(x, earlier[0])
        else:
            x = g.batch_norm(x) if step == "norm" else g.act(x)
        earlier.append(x)
    graph = g.build(x)
    narrow = Quantise("int8", "int8", ends=True, dynamic=dynamic)(graph)
    assert count(narrow).macs == count(graph).macs
    assert all(product_of(k.op).compute == "int8" for k in kernels(narrow) if macs(k.op))
    assert count(Fuse()(narrow)).bytes <= count(narrow).bytes * (1 + 1e-12)


def test_folding_leaves_one_term_for_each_norm():
    """RepVGG's paper counts a deployed convolution with a bias: a weight a channel less than the norm's two."""
    graph = graph_of("resnet-18")
    channels = sum(graph.tensors[n.inputs[1]].shape[0] for n in graph.nodes if n.type == "BatchNormalization")
    folded = Fold()(graph)
    assert not any(n.type == "BatchNormalization" for n in folded.nodes)
    assert count(graph).parameters - count(folded).parameters == channels
    assert count(folded).macs == count(graph).macs


def test_single_bits_are_multiplied_once_for_each_pair_of_bits():
    g = Builder("g")
    graph = g.build(g.linear(g.input(4, 256), 64, bias=False))
    one, four = (Quantise(f, f, ends=True)(graph) for f in ("binary", "int2_serial"))
    ops = [product_of(k.op) for form in (one, four) for k in kernels(form) if macs(k.op)]
    assert all(isinstance(op, BitSerial) for op in ops)
    assert [op.flops() for op in ops] == [2 * 4 * 256 * 64, 4 * 2 * 4 * 256 * 64]


@pytest.mark.parametrize(("format", "bits"), [("int4", 4), ("int2", 2), ("binary_wo", 1)])
def test_look_ups_grow_with_the_bits_of_the_weights(format, bits):
    g = Builder("g")
    graph = Quantise(format, ends=True)(g.build(g.linear(g.input(1, 1024), 512, bias=False)))
    (launch,) = kernels(LookUp(group=4)(graph))
    assert isinstance(launch.op, Lookup)
    assert launch.op.lookups == 1024 * 512 / 4 * bits
    assert launch.op.entries == 1024 / 4 * 8
    assert launch.op.bytes() == kernels(graph)[0].op.bytes()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "give weights"), ({"weights": "int3"}, "int3"), ({"layers": {"nothing*": {"weights": "int8"}}}, "nothing"),
        ({"layers": {"Conv": {"activations": "int8"}}}, "weights are missing"),
        ({"layers": {"Conv": {"weights": "int8", "bits": "4"}}}, "bits is not a field"),
    ],
)  # fmt: skip
def test_wrong_options_are_one_line(options, words):
    with pytest.raises(InputError, match=words):
        build_policy("rewrite", "quantise", options)(chain())
    with pytest.raises(InputError, match="quantise first"):
        LookUp()(chain())


def test_products_of_the_law_are_of_known_kinds():
    assert all(isinstance(product_of(k.op), Gemm | Convolution) for k in kernels(chain()) if macs(k.op))
