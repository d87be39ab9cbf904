"""Weights loaded layer by layer: closed forms, a simulation by events, and what must fit."""

import numpy as np
import pytest
import simpy
from hypothesis import given
from hypothesis import strategies as st

from simulator.engine.inference.paging import Channel, held_bytes, loaded_at
from simulator.errors import DoesNotFit, InputError
from simulator.inference import infer
from simulator.specs.inference import InferenceScenario

FIELDS = {"model": "vgg-11", "device": "nvidia-t4-16gb", "format": "fp16"}


def end(sizes, busy, channel):
    issued, done = np.zeros(len(sizes)), 0.0
    for there, seconds in zip(loaded_at(np.array(sizes), np.array(busy), issued, channel), busy, strict=True):
        done = max(done, there) + seconds
    return done


@given(st.integers(1, 20), st.floats(0.1, 5.0), st.floats(0.1, 5.0))
def test_equal_layers_take_the_longer_of_loading_and_computing(count, load, compute):
    sizes, busy = [load] * count, [compute] * count
    assert end(sizes, busy, Channel(1.0, ahead=0)) == pytest.approx(count * (load + compute))
    ahead = load + (count - 1) * max(load, compute) + compute
    assert end(sizes, busy, Channel(1.0, ahead=1)) == pytest.approx(ahead)


@given(
    st.lists(st.tuples(st.sampled_from([0.0, 1.0, 2.5, 7.0]), st.floats(0.0, 4.0)), min_size=1, max_size=12),
    st.integers(1, 4),
    st.floats(0.0, 1.0),
)
def test_loading_ahead_is_a_producer_with_as_many_places_of_room(layers, ahead, latency):
    """The same by events: a loader that takes a place for each transfer, a device that gives it back afterwards."""
    env = simpy.Environment()
    room, loaded = simpy.Container(env, ahead + 1, ahead + 1), simpy.Store(env)

    def load():
        for size, _ in layers:
            if size:
                yield room.get(1)
                yield env.timeout(latency + size / 2.0)
                yield loaded.put(True)

    def compute():
        for size, seconds in layers:
            if size:
                yield loaded.get()
            yield env.timeout(seconds)
            if size:
                yield room.put(1)

    env.process(load())
    env.run(env.process(compute()))
    found = end([s for s, _ in layers], [b for _, b in layers], Channel(2.0, latency, ahead))
    assert found == pytest.approx(env.now)


def test_loaded_weights_take_room_for_a_layer_and_those_ahead():
    assert held_bytes(np.array([3.0, 0.0, 5.0, 1.0, 4.0]), 0) == 5.0
    assert held_bytes(np.array([3.0, 0.0, 5.0, 1.0, 4.0]), 1) == 8.0
    assert held_bytes(np.zeros(3), 1) == 0.0


def scenario(**memory):
    return InferenceScenario.model_validate({**FIELDS, "memory": memory})


def test_a_channel_slower_than_the_device_sets_the_latency():
    result = infer(scenario(paging={"bandwidth_gb_s": 0.1}))
    weights = result.summary["weights_mb"] / 1e3
    assert result.memory.paged == pytest.approx(weights * 1e9)
    assert result.seconds == pytest.approx(weights / 0.1, rel=0.01)
    assert result.summary["time_by_type_ms"]["paging"] > 0.9 * result.summary["latency_ms"]


def test_what_stays_in_memory_is_not_loaded():
    all_of_it = infer(scenario(paging={"bandwidth_gb_s": 0.1, "resident_mb": 1e6}))
    assert all_of_it.memory.paged == 0.0
    assert all_of_it.seconds == pytest.approx(infer(scenario()).seconds)
    some = infer(scenario(paging={"bandwidth_gb_s": 0.1, "resident_mb": 10.0}))
    assert 0.0 < some.memory.paged < infer(scenario(paging={"bandwidth_gb_s": 0.1})).memory.paged


def test_too_little_memory_names_the_missing_bytes_and_a_remedy():
    with pytest.raises(DoesNotFit, match=r"bytes are missing: give memory\.paging"):
        infer(scenario(capacity_mb=100))
    with pytest.raises(DoesNotFit, match=r"smaller batch"):
        infer(scenario(capacity_mb=1))
    paged = infer(scenario(capacity_mb=250, paging={"bandwidth_gb_s": 1, "ahead": 0}))
    # the largest layer, of 25,088 by 4,096 numbers and the terms of its sum
    assert paged.memory.weights == 2 * (25_088 + 1) * 4_096
    assert infer(scenario(weights="in-place", capacity_mb=100)).memory.weights == 0.0
    with pytest.raises(InputError, match="beside"):
        infer(scenario(weights="in-place", paging={"bandwidth_gb_s": 1}))


def test_an_unknown_order_names_those_there_are():
    with pytest.raises(InputError, match="given"):
        infer(scenario(order={"policy": "giben"}))


def test_each_network_of_a_model_has_weights_of_its_own():
    fields = {"model": "stable-diffusion-1.5", "device": "nvidia-a100-sxm-80gb", "format": "fp16", "memory": {}}
    found = infer(InferenceScenario.model_validate(fields))
    assert found.memory.weights == pytest.approx(found.summary["weights_mb"] * 1e6)
    assert len(found.memory.plans) == len(found.model.parts) > 1


def test_weights_that_every_patch_needs_are_loaded_for_each():
    fields = {"model": "mobilenet-v2", "device": "nvidia-t4-16gb", "memory": {"paging": {"bandwidth_gb_s": 1}}}
    patch = {"rewrites": [{"policy": "patch", "options": {"grid": 4}}]}
    whole, patched = (infer(InferenceScenario.model_validate({**fields, **more})) for more in ({}, patch))
    assert patched.memory.paged > whole.memory.paged
    assert 0.0 < patched.memory.weights <= whole.memory.weights + 1.0
