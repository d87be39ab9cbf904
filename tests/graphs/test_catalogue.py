"""Named models against the sizes that were published of them."""

import pytest

from simulator.errors import InputError
from simulator.workloads.graphs.catalogue import entry, graph_model, graph_model_names
from simulator.workloads.graphs.counting import count_model, macs
from simulator.workloads.graphs.lowering import kernels


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


def test_a_denoising_step_multiplies_as_often_as_published_without_the_products_of_attention():
    """BK-SDM (arXiv:2305.15798, table 1) gives 339 G at 512 x 512; its counter leaves those out."""
    (part,) = graph_model("sd-1.5-unet").parts
    without = sum(k.count * macs(k.op) for k in kernels(part.graph) if k.type != "Attention")
    assert without == pytest.approx(339e9, rel=0.02)


def test_guidance_doubles_the_denoising_and_steps_multiply_it():
    plain = count_model(graph_model("stable-diffusion-1.5", steps=1, guidance=False)).macs
    guided = count_model(graph_model("stable-diffusion-1.5", steps=1)).macs
    many = count_model(graph_model("stable-diffusion-1.5", steps=11)).macs
    step = count_model(graph_model("sd-1.5-unet")).macs
    assert guided - plain == pytest.approx(step + count_model(graph_model("clip-text")).macs)
    assert many - guided == pytest.approx(2 * 10 * step)
