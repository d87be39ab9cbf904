"""LFADS against its layers by hand."""

from simulator.workloads.graphs.catalogue import graph_model
from simulator.workloads.graphs.counting import count_model


def test_a_trial_multiplies_with_every_matrix_at_every_step():
    steps, channels, width = 73, 70, 64
    encoder = 2 * 3 * width * (channels + width)
    generator = 3 * width * (width + width)
    readout = width * width + width * channels
    found = count_model(graph_model("lfads"))
    assert found.macs == steps * (encoder + generator + readout) + 2 * width * width
    biases = 2 * 6 * width + 6 * width + width + channels
    assert found.parameters == encoder + generator + readout + 2 * width * width + biases
