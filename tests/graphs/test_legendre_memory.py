"""Legendre memory units by hand."""

from simulator.workloads.graphs.catalogue import graph_model
from simulator.workloads.graphs.counting import count_model


def test_the_memory_multiplies_at_each_step_and_holds_no_parameters():
    small, large = (count_model(graph_model("lmuformer", order=q)) for q in (128, 256))
    # the memory's own matrix and its entry, and the product that reads it
    macs = 128 * ((256**2 - 128**2) + 128 + 128 * 256)
    assert large.macs - small.macs == macs
    assert large.parameters - small.parameters == 128 * 256


def test_steps_are_linear():
    one, two = (count_model(graph_model("lmuformer", steps=n)).macs for n in (64, 128))
    assert two - 256 * 35 == 2 * (one - 256 * 35)
