"""Mobile and segmentation networks against closed forms of their papers."""

import numpy as np
import pytest

from simulator.workloads.graphs.builder import Builder
from simulator.workloads.graphs.catalogue import family_model, graph_model
from simulator.workloads.graphs.counting import count_model, macs
from simulator.workloads.graphs.families import cswin, fasternet, mobilevit_v2, nextvit
from simulator.workloads.graphs.lowering import kernels
from simulator.workloads.graphs.tensor import FP32


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


def test_stripes_attend_over_their_share_of_the_map():
    """Section 3.2 of arXiv:2107.00652: a stripe of `sw` rows or columns is all that one of its positions looks at."""
    c, side, stripe = 64, 14, 2

    def work(joint_side, window):
        g = Builder("g")
        joint = g.input(3, 1, joint_side**2, c)
        found = g.build(cswin._attended(g, joint, joint_side, window, 2))
        places = joint_side**2 * c * 9
        return sum(k.count * macs(k.op) for k in kernels(found)) - places

    assert work(side, (side, stripe)) == 2 * side**2 * (side * stripe) * c
    assert work(side, (stripe, side)) == work(side, (side, stripe))
    assert work(side, (side, side)) == work(side, (side, stripe)) * side / stripe


def test_fewer_keys_shorten_attention_by_their_square():
    g = Builder("g")
    found = g.build(nextvit._attended(g, g.input(1, 96, 16, 16), 4))
    attended = next(n for n in found.nodes if n.type == "Attention")
    query, key = (found.tensors[name].shape for name in attended.inputs[:2])
    assert query[2] == 16 * 16
    assert key[2] == 16 * 16 / 4**2


def test_heads_that_share_keys_and_values_have_one_projection_of_each():
    """Section 3.2 of arXiv:2404.10518: 2 d (h k) + 2 d k weights instead of 4 d (h k)."""
    each, shared = (
        family_model("mobile_attention", "block", 1, FP32, shared=s, width=512, heads=8, head_width=64)
        for s in (False, True)
    )
    rest = 3 * 512  # norm and scale
    assert count_model(each).parameters == 4 * 512 * 512 + rest
    assert count_model(shared).parameters == 2 * 512 * 512 + 2 * 512 * 64 + rest


def test_deployed_branches_leave_one_depth_wise_window_a_mixing_block():
    """Of three and of seven; seven too between stages and for places, three in stem and head (arXiv:2303.14189, 3)."""
    found = graph("fastvit-sa12")
    windows = [found.tensors[n.inputs[1]].shape for n in found.nodes if n.type == "Conv"]
    assert sum(s[1] == 1 and s[2:] == (7, 7) for s in windows) == 12 + 3 + 1
    assert sum(s[1] == 1 and s[2:] == (3, 3) for s in windows) == 10 + 1 + 1
