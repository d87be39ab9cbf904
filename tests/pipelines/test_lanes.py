"""Batches that are padded, and batches that sequences join and leave at any step, by closed forms."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.errors import InputError
from simulator.inference import infer
from simulator.specs.inference import InferenceScenario
from tests.pipelines.running import constant, run

DEVICE = "nvidia-l4-24gb"
MODEL = {"kind": "model", "model": "ad-autoencoder", "device": "d"}


def cost(batch):
    found = infer(InferenceScenario(model="ad-autoencoder", device=DEVICE, batch=batch))
    return found.seconds, found.joules


ONE, TWO = cost(1), cost(2)


def serve(lengths, sharing, **stage):
    """One item from each of as many sources, all at once."""
    sources = {
        f"s{n}": {"arrivals": {"process": "recorded", "times_s": [0.0]}, "attributes": {"words": length}, "to": "a"}
        for n, length in enumerate(lengths)
    }
    stages = {"a": {"service": {**MODEL, "steps": "words"}, **stage}}
    result = run(sources=sources, devices={"d": {"device": DEVICE, "sharing": sharing, "idle_w": 0}}, stages=stages)
    return result.summary["makespan_s"], result.summary["resources"]["d"]["energy_j"]


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 50), st.integers(1, 50))
def test_a_batch_is_padded_to_its_longest_and_lanes_go_on_alone(one, other):
    short, long = sorted((one, other))
    padded = serve([one, other], "fcfs", batch={"size": 2, "timeout_ms": 1})
    lanes = serve([one, other], "lanes", servers=2)
    for at in (0, 1):
        assert padded[at] == pytest.approx(long * TWO[at])
        assert lanes[at] == pytest.approx(short * TWO[at] + (long - short) * ONE[at])


def test_the_next_one_takes_a_lane_as_soon_as_it_is_free():
    """Three of 10, 20 and 10 steps in two lanes: 20 steps of two at once, none alone."""
    assert serve([10, 20, 10], "lanes", servers=2)[0] == pytest.approx(20 * TWO[0])


@pytest.mark.parametrize(
    ("stages", "message"),
    [
        ({"a": {"service": MODEL, "to": "b"}, "b": {"service": MODEL}}, "lanes of d run another model"),
        ({"a": {"service": {**constant(1), "device": "d"}}}, "device d has lanes, which are for one model"),
    ],
)
def test_lanes_are_for_one_model(stages, message):
    sources = {"s": {"arrivals": {"process": "closed", "clients": 1}, "items": 1, "to": "a"}}
    with pytest.raises(InputError, match=message):
        run(sources=sources, devices={"d": {"device": DEVICE, "sharing": "lanes"}}, stages=stages)
