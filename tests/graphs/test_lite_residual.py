"""Lite residual branches: where they go, how small they are, and what training them keeps."""

import pytest

from simulator.errors import InputError
from simulator.workloads.graphs.catalogue import graph_model
from simulator.workloads.graphs.counting import count
from simulator.workloads.graphs.memory.plan import plan_memory
from simulator.workloads.graphs.rewrites import LiteResidual, Train


def graph(name, batch=8):
    return graph_model(name, batch).parts[0].graph


def test_each_block_but_the_stem_has_a_branch():
    of = graph("mobilenet-v2")
    with_branches = LiteResidual()(of)
    sums = [n for n in with_branches.nodes if n.name.endswith("/sum") and n.name.startswith("lite")]
    # of 17 blocks, the first of which ends the stem's segment, and the last convolution
    assert len(sums) in (16, 17)
    assert with_branches.outputs == of.outputs
    added = count(with_branches)
    assert added.macs < 1.2 * count(of).macs
    pools = [n for n in with_branches.nodes if n.type == "AveragePool"]
    assert len(pools) == len(sums)
    # the first branch reads 112 x 112 at half that resolution
    assert with_branches.tensors[pools[0].outputs[0]].shape[2:] == (56, 56)


def test_branches_cost_little_memory_beside_biases():
    of = graph("proxylessnas-mobile")
    biases = plan_memory(Train("biases")(of)).peak
    both = plan_memory(Train("sparse", weights={"lite_*": 1.0})(LiteResidual()(of))).peak
    full = plan_memory(Train()(of)).peak
    assert biases < both < 0.12 * full


def test_frozen_weights_can_be_narrower():
    of = graph("mobilenet-v2")
    narrow = Train("last", frozen="int8_wo")(of)
    head = 1280 * 1000 + 1000
    expected = 4 * head + (3_504_872 - head)
    assert float(count(narrow).weight_bytes) == pytest.approx(expected, rel=0.001)


def test_networks_without_blocks_between_images_are_refused():
    with pytest.raises(InputError, match="no blocks"):
        LiteResidual()(graph("bert-base", 1))
