"""Operator types against closed forms, and against what PyTorch's documentation gives for the same layers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.errors import InputError
from simulator.workloads.graphs.builder import Builder
from simulator.workloads.graphs.counting import count, macs
from simulator.workloads.graphs.graph import Graph, Node
from simulator.workloads.graphs.lowering import kernels, unknown
from simulator.workloads.graphs.tensor import Tensor


@given(
    size=st.integers(9, 64), kernel=st.integers(1, 5), stride=st.integers(1, 3), pad=st.integers(0, 2),
    dilation=st.integers(1, 2),
)  # fmt: skip
def test_a_convolution_has_as_many_positions_as_its_window_has_places(size, kernel, stride, pad, dilation):
    g = Builder("g")
    x = g.input(1, 4, size, size)
    y = g.conv(x, 8, kernel, stride, pad=pad, dilation=dilation)
    reach = dilation * (kernel - 1) + 1
    places = len(range(0, size + 2 * pad - reach + 1, stride))
    assert g.shape(y) == (1, 8, places, places)
    (launch,) = kernels(g.build(y))
    assert macs(launch.op) == places * places * 8 * 4 * kernel * kernel


def test_a_transposed_convolution_undoes_the_size_of_a_convolution():
    g = Builder("g")
    x = g.input(1, 16, 14, 14)
    y = g.deconv(x, 8, 4, 2, pad=1)
    assert g.shape(y) == (1, 8, 28, 28)
    (launch,) = kernels(g.build(y))
    # every input position meets every weight once
    assert macs(launch.op) == 14 * 14 * 16 * 8 * 4 * 4


def test_depth_wise_convolutions_multiply_each_channel_alone():
    g = Builder("g")
    x = g.input(2, 32, 10, 10)
    graph = g.build(g.conv(x, 32, 3, groups=32))
    assert count(graph).parameters == 32 * 9
    assert count(graph).macs == 2 * 32 * 100 * 9


def test_an_lstm_has_four_gates_and_runs_its_steps_one_after_the_other():
    g = Builder("g")
    x = g.input(20, 3, 40)
    graph = g.build(g.lstm(x, 64))
    assert count(graph).parameters == 4 * 64 * (40 + 64 + 2)  # torch.nn.LSTM
    assert count(graph).macs == 20 * 3 * 4 * 64 * (40 + 64)
    launches = kernels(graph)
    assert [k.count for k in launches] == [1, 20, 20]


def test_attention_multiplies_scores_and_values_for_each_pair_of_tokens():
    g = Builder("g")
    q, k = g.input(2, 8, 100, 64, name="q"), g.input(2, 8, 77, 64, name="k")
    v = g.input(2, 8, 77, 32, name="v")
    y = g.attention(q, k, v)
    assert g.shape(y) == (2, 8, 100, 32)
    assert count(g.build(y)).macs == 2 * 8 * 100 * 77 * (64 + 32)


def test_candidates_side_by_side_count_as_they_do_alone():
    widths = np.array([16.0, 32.0, 64.0])

    def graph(width):
        g = Builder("g")
        x = g.input(1, 3, 32, 32)
        x = g.act(g.conv(x, width, 3, 2))
        with g.repeated(width // 16):
            x = g.conv(x, width, 3, groups=width)
        return g.build(g.linear(g.global_pool(x), 10))

    together = count(graph(widths))
    for i, width in enumerate(widths):
        alone = count(graph(int(width)))
        for name in ("parameters", "macs", "flops", "bytes", "activations"):
            assert getattr(together, name)[i] == pytest.approx(getattr(alone, name), rel=1e-12)


def test_unknown_types_are_counted_and_stream_their_tensors_once():
    tensors = {n: Tensor(n, (4, 8)) for n in ("x", "y")}
    graph = Graph("g", tensors, (Node("n", "Mystery", ("x",), ("y",)),), ("x",), ("y",))
    assert unknown(graph) == {"Mystery": 1}
    (launch,) = kernels(graph)
    assert launch.estimated
    assert launch.op.bytes() == 2 * 4 * 8 * 4


def test_a_node_that_reads_what_nothing_gives_is_refused_by_name():
    tensors = {n: Tensor(n, (4,)) for n in ("x", "y")}
    with pytest.raises(InputError, match="node n reads x"):
        Graph("g", tensors, (Node("n", "Relu", ("x",), ("y",)),), (), ("y",))


def test_views_move_nothing():
    g = Builder("g")
    x = g.input(2, 8, 4, 4)
    y = g.add_node("Flatten", [x], axis=1)
    assert g.shape(y) == (2, 128)
    assert kernels(g.build(y)) == []


def test_factors_whose_sizes_differ_are_refused():
    g = Builder("g")
    x, y = g.input(8, 15, name="x"), g.input(16, 4, name="y")
    with pytest.raises(InputError, match="sizes 15 and 16"):
        g.matmul(x, y)
    image = g.input(1, 12, 8, 8, name="image")
    with pytest.raises(InputError, match="sizes 12 and 10"):
        g.conv(image, 8, 3, groups=5)
