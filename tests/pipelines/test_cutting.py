"""Head and tail of a cut graph are the whole."""

import numpy as np
import pytest

from simulator.errors import InputError
from simulator.workloads.graphs.catalogue import graph_model
from simulator.workloads.graphs.counting import count
from simulator.workloads.graphs.cutting import cut, cuts
from simulator.workloads.graphs.rewrites import Bottleneck


def whole():
    (part,) = graph_model("resnet-18").parts
    return part.graph


def test_every_cut_keeps_all_work_and_all_weights():
    graph = whole()
    total = count(graph)
    for name, crossing in cuts(graph):
        found = cut(graph, name)
        head, tail = count(found.head), count(found.tail)
        assert head.nodes + tail.nodes == total.nodes
        for figure in ("parameters", "macs", "flops", "bytes"):
            assert getattr(head, figure) + getattr(tail, figure) == pytest.approx(getattr(total, figure))
        assert float(np.asarray(crossing)) == found.bytes
        assert found.tail.inputs == found.head.outputs


def test_what_crosses_is_every_tensor_that_the_tail_needs():
    """After the stem 64 x 56 x 56 numbers; inside a residual block the shortcut besides; in the end the classes."""
    graph = whole()
    stem = 64 * 56 * 56 * 4
    assert cut(graph, "maxpool_3").bytes == stem
    assert cut(graph, "conv_4").bytes == 2 * stem
    assert cut(graph, graph.nodes[-1].name).bytes == 4000


def test_a_bottleneck_narrows_what_crosses_and_leaves_the_rest_as_it_was():
    graph = whole()
    narrow = Bottleneck(after="maxpool_3", until="relu_17", channels=12, stride=2)(graph)
    found = cut(narrow, "bottleneck/encoder")
    assert found.bytes == 12 * 28 * 28 * 4
    inner = sum(64 * k * 9 * 28 * 28 for k in (64, 12, 12)) + 64 * 64 * 9 * 56 * 56
    replaced = count(cut(graph, "relu_17").head).macs - count(cut(graph, "maxpool_3").head).macs
    assert count(narrow).macs == pytest.approx(count(graph).macs - replaced + inner)
    assert narrow.tensors[narrow.outputs[0]].shape == graph.tensors[graph.outputs[0]].shape


def test_a_bottleneck_that_cuts_a_shortcut_is_refused():
    """The shortcut from relu_10 goes round conv_11, to which the bottleneck would lead."""
    with pytest.raises(InputError, match="from inside"):
        Bottleneck(after="maxpool_3", until="relu_13", channels=12)(whole())


def test_an_unknown_node_is_named():
    with pytest.raises(InputError, match="unknown node of graph resnet 'maxpool_4': did you mean maxpool_3"):
        cut(whole(), "maxpool_4")
