"""Gradients over patches: multiply-adds and kept bytes by closed forms, and the time of the backward pass."""

import pytest

from simulator.errors import InputError
from simulator.inference import infer
from simulator.specs.inference import InferenceScenario
from simulator.workloads.graphs.builder import Builder
from simulator.workloads.graphs.counting import count
from simulator.workloads.graphs.memory.plan import plan_memory
from simulator.workloads.graphs.rewrites import FilterGradients, Train


def two_layers(size: int = 16, groups: int = 1):
    g = Builder("two")
    x = g.conv(g.input(2, 8, size, size), 16, 3, bias=True)
    return g.build(g.conv(x, 32, 3, groups=groups, bias=True))


@pytest.mark.parametrize("groups", [1, 4])
@pytest.mark.parametrize("patch", [1, 2, 4])
def test_products_shrink_by_the_patch_and_the_window(patch, groups):
    """Three gradients (the first layer's input needs none), each of a ninth of its products over the patches."""
    of = two_layers(groups=groups)
    positions = 2 * 16 * 16
    first, second = positions * 9 * 8 * 16, positions * 9 * 16 * 32 // groups
    assert count(Train()(of)).macs == first + second + (first + 2 * second)
    filtered = count(FilterGradients(patch)(Train()(of)))
    assert filtered.macs == first + second + (first + 2 * second) / (9 * patch * patch)
    assert filtered.parameters == count(of).parameters


def test_patches_at_the_edge_are_patches_too():
    of = two_layers(size=15)
    expected = count(of).macs + 2 * 8 * 8 * (8 * 16 + 2 * 16 * 32)
    assert count(FilterGradients(2)(Train()(of))).macs == expected


def test_sums_of_inputs_are_kept_in_place_of_inputs():
    """The first layer's result is free once the second has read it, and its sums take a sixteenth of its bytes."""
    g = Builder("deep")
    x = g.input(1, 16, 16, 16)
    for _ in range(8):
        x = g.conv(x, 16, 3)
    of = Train()(g.build(x))
    image = 16 * 16 * 16 * 4
    whole, filtered = plan_memory(of).peak, plan_memory(FilterGradients(4)(of)).peak
    assert whole >= 8 * image
    assert filtered <= 3 * image + 8 * image / 16 + 16 * 16 * 9 * 4


def test_the_backward_pass_alone_is_quicker():
    def run(*rewrites):
        values = {"model": "resnet-18", "device": "nvidia-jetson-nano", "runtime": "eager", "batch": 8}
        return infer(InferenceScenario(**values, rewrites=list(rewrites))).summary

    train, narrow = {"policy": "train"}, {"policy": "filter-gradients", "options": {"patch": 2}}
    forward, whole, filtered = run(), run(train), run(train, narrow)
    assert "backward_ms" not in forward
    assert whole["latency_ms"] - whole["backward_ms"] >= forward["latency_ms"] * 0.99
    assert filtered["backward_ms"] < 0.6 * whole["backward_ms"]


def test_what_has_no_gradients_is_refused():
    with pytest.raises(InputError, match="put it behind train"):
        FilterGradients()(two_layers())
    with pytest.raises(InputError, match="patch is 0"):
        FilterGradients(0)(Train()(two_layers()))
