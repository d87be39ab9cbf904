"""Named models against the sizes that were published of them."""

import pytest

from simulator.errors import InputError
from simulator.workloads.graphs.catalogue import entry, graph_model, graph_model_names
from simulator.workloads.graphs.counting import count_model


@pytest.mark.parametrize("name", graph_model_names())
def test_parameters_and_multiply_adds_are_the_published_ones(name):
    known = entry(name)
    counted = count_model(graph_model(name))
    assert known.source
    if known.parameters is not None:
        assert counted.parameters == pytest.approx(known.parameters, rel=0.02)
    if known.macs is not None:
        assert counted.macs == pytest.approx(known.macs, rel=0.02)


def test_work_goes_with_the_batch_and_parameters_do_not():
    one, four = (count_model(graph_model("resnet-18", batch)) for batch in (1, 4))
    assert four.macs == 4 * one.macs
    assert four.parameters == one.parameters


def test_wrong_names_and_options_are_one_line():
    with pytest.raises(InputError, match="resnet-50"):
        graph_model("resnet-5O")
    with pytest.raises(InputError, match="depth"):
        graph_model("resnet-50", depth=3)
