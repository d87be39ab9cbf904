"""Mobile and segmentation networks against closed forms of their papers."""

import numpy as np
import pytest

from simulator.workloads.graphs.builder import Builder
from simulator.workloads.graphs.catalogue import graph_model
from simulator.workloads.graphs.counting import count_model, macs
from simulator.workloads.graphs.families import fasternet, mobilevit_v2
from simulator.workloads.graphs.lowering import kernels


def graph(name, **options):
    (part,) = graph_model(name, **options).parts
    return part.graph


def out_shape(name, **options):
    found = graph(name, **options)
    return found.tensors[found.outputs[0]].shape


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("enet", (1, 20, 360, 640)), ("segnet", (1, 20, 360, 640)), ("ddrnet-23-slim", (1, 19, 1024, 2048)),
        ("fast-depth-unpruned", (1, 1, 224, 224)), ("r-aspp-mobilenet-v2-cityscapes", (1, 19, 1448, 1448)),
    ],
)  # fmt: skip
def test_there_is_a_result_for_each_pixel(name, shape):
    assert out_shape(name) == pytest.approx(shape)


def test_unpooling_gives_maps_back_their_odd_sizes():
    assert out_shape("segnet", resolution=[90, 150])[2:] == (90, 150)


def test_separable_attention_is_linear_in_positions():
    """All its products have as many rows as there are positions (arXiv:2206.02680, section 3.3)."""

    def work(side):
        g = Builder("g")
        found = g.build(mobilevit_v2._separable(g, g.input(1, 64, 4, side)))
        return sum(k.count * macs(k.op) for k in kernels(found))

    assert work(4096) == pytest.approx(4 * work(1024))


def test_a_partial_convolution_multiplies_a_sixteenth():
    """A quarter of the channels in and out (arXiv:2303.03667, equation 2)."""
    g = Builder("g")
    found = g.build(fasternet._block(g, g.input(1, 64, 14, 14), 4, "Relu"))
    partial, *_ = (macs(k.op) for k in kernels(found) if macs(k.op))
    assert partial == 14 * 14 * 9 * 64 * 64 / 16


def test_groups_of_a_shuffle_network_share_out_its_products():
    """1x1 convolutions of g groups have 1 / g of the weights; the first of all is whole (arXiv:1707.01083, 3.2)."""
    found = graph("shufflenet-1.0-g3")
    convs = [found.tensors[n.inputs[1]].shape for n in found.nodes if n.type == "Conv"]
    points = [s for s in convs if s[2:] == (1, 1)]
    assert points[0][1] == 24
    assert points[1] == (240 - 24, 60 // 3, 1, 1)


def test_cells_of_a_searched_network_lay_side_by_side_what_they_made():
    """Normal cells give six times their filters, reductions four times (arXiv:1707.07012, figure 4)."""
    found = graph("nasnet-a-mobile")
    widths = [found.tensors[n.outputs[0]].shape[1] for n in found.nodes if n.type == "Concat"]
    assert widths[-1] == 6 * 176 == 1056
    assert set(np.unique(widths)) >= {4 * 11, 4 * 22, 6 * 44, 4 * 88, 6 * 88, 4 * 176}
    assert count_model(graph_model("nasnet-a-mobile")).parameters == pytest.approx(5.289978e6, rel=1e-4)
