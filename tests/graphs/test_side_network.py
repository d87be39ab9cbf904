"""A network beside a frozen one: nothing of the frozen one is differentiated, only what feeds the side is kept."""

import pytest

from simulator.errors import InputError
from simulator.workloads.graphs.catalogue import graph_model
from simulator.workloads.graphs.counting import count
from simulator.workloads.graphs.memory.plan import plan_memory
from simulator.workloads.graphs.rewrites import SideNetwork, Train


def graph(name="vit-b-32", batch=4):
    return graph_model(name, batch).parts[0].graph


def test_the_side_has_its_products_for_every_block():
    of = graph()
    beside = SideNetwork(ratio=8, every=2)(of)
    narrow = 768 // 8
    # twelve blocks feed it, half-way through the last one, whose result gets the sum
    each = (768 + 1) * narrow + 2 * (narrow + 1) * narrow
    assert count(beside).parameters - count(of).parameters == 12 * each + (narrow + 1) * 768
    assert beside.outputs == of.outputs


def test_gradients_stay_in_the_side_network():
    of = graph()
    beside = SideNetwork()(of)
    step = Train("sparse", layers=1, weights={"side/*": 1.0})(beside)
    back = {n.name.removeprefix("back:") for n in step.nodes if n.name.startswith("back:")}
    names = [n.name for n in beside.nodes]
    before = {name for name in names[: names.index("side/sum")] if not name.startswith("side/")}
    assert back and not back & before
    side = count(SideNetwork()(of)).macs - count(of).macs
    assert count(step).macs - count(of).macs <= 3 * side + 3 * 4 * 768 * 1000


def test_memory_grows_by_what_feeds_the_side():
    of = graph(batch=16)
    peaks = [
        plan_memory(Train("sparse", layers=1, weights={"side/*": 1.0})(SideNetwork(every=every)(of))).peak
        for every in (1, 2, 4)
    ]
    assert peaks == sorted(peaks, reverse=True)
    assert plan_memory(of).peak < peaks[-1] < peaks[0] < 0.4 * plan_memory(Train()(of)).peak


def test_networks_without_sequences_and_wrong_sizes_are_refused():
    with pytest.raises(InputError, match="sequences"):
        SideNetwork()(graph("resnet-18"))
    with pytest.raises(InputError, match="every"):
        SideNetwork(every=0)
