"""Options of families in scenarios: one line for each that cannot be used."""

import pytest

from simulator.assembly.graph_options import check_family_options
from simulator.errors import InputError
from simulator.inference import infer
from simulator.specs.inference import InferenceScenario
from simulator.workloads.graphs.catalogue import entry, graph_model_names


@pytest.mark.parametrize(
    ("model", "options", "says"),
    [
        ("resnet-50", {"resolutoin": 224}, "did you mean resolution"),
        ("mamba-2.8b", {"tokens": "many"}, "tokens"),
        ("mobilenet-v2", {"width": float("nan")}, "finite"),
        ("mobilenet-v2", {"width": []}, "width"),
        ("mobilenet-v2", {"resolution": 0}, "larger sizes"),
        ("mobilenet-v2", {"resolution": -224}, "larger sizes"),
    ],
)
def test_options_that_cannot_be_used_are_named(model, options, says):
    with pytest.raises(InputError, match=says) as caught:
        infer(InferenceScenario(model=model, options=options, device="nvidia-t4-16gb"))
    assert "\n" not in str(caught.value)


def test_shares_of_exits_are_numbers():
    exits = [{"after": "maxpool_2", "share": "half"}]
    rewrites = [{"policy": "early-exit", "options": {"exits": exits}}]
    with pytest.raises(InputError, match="share"):
        infer(InferenceScenario(model="resnet-18", device="nvidia-t4-16gb", rewrites=rewrites))


def test_the_options_of_all_named_models_are_of_the_kind_that_their_families_take():
    for name in graph_model_names():
        check_family_options(entry(name).family, entry(name).options, name)
