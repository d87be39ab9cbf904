"""Head and tail of a cut graph are the whole."""

import numpy as np
import pytest

from simulator.errors import InputError
from simulator.workloads.graphs.catalogue import graph_model
from simulator.workloads.graphs.counting import count
from simulator.workloads.graphs.cutting import cut, cuts


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


def test_an_unknown_node_is_named():
    with pytest.raises(InputError, match="unknown node of graph resnet 'maxpool_4': did you mean maxpool_3"):
        cut(whole(), "maxpool_4")
