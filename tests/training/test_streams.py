"""A device's two streams against hand computation, and conservation of time for any mix of segments and collectives."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.engine.training.buckets import buckets, cut_together
from simulator.engine.training.streams import Segment, Streams, Transfer

seconds = st.floats(0.01, 5.0)


def test_a_segment_slows_while_a_collective_runs_and_no_longer() -> None:
    """2 s alone, 4 s beside: in 1 s of the collective a quarter is done, the rest takes 1.5 s."""
    streams = Streams()
    streams.put(Transfer("a", 1.0))
    streams.compute(Segment(2.0, (4.0,)))
    assert streams.now == pytest.approx(2.5)
    assert streams.seconds("hidden") == {"a": pytest.approx(1.0)}
    assert streams.slowed == pytest.approx(0.5)


def test_collectives_of_different_levels_slow_differently() -> None:
    streams = Streams()
    streams.put(Transfer("node", 1.0, 0))
    streams.put(Transfer("network", 1.0, 1))
    streams.compute(Segment(1.0, (4.0, 2.0)))
    assert streams.now == pytest.approx(1.0 + 1.0 + 0.25)


def test_waiting_exposes_and_other_stages_do_not() -> None:
    streams = Streams()
    first = streams.put(Transfer("a", 1.0))
    streams.put(Transfer("b", 1.0))
    streams.idle(0.25)
    streams.wait(first)
    assert streams.seconds("waiting") == {"a": pytest.approx(0.25)}
    assert streams.seconds("exposed") == {"a": pytest.approx(0.75)}
    streams.drain()
    assert streams.now == pytest.approx(2.0)
    assert streams.done == 2


@given(
    st.lists(st.tuples(st.sampled_from(["put", "compute", "idle", "wait"]), seconds, st.floats(1.0, 3.0)), max_size=30)
)
def test_every_second_of_collectives_is_counted_once(actions: list[tuple[str, float, float]]) -> None:
    """Seconds of collectives are hidden, exposed or waiting; time is computing, slowing, waiting and being idle."""
    streams = Streams()
    put = computed = idle = 0.0
    number = 0
    for action, length, slow in actions:
        before = streams.now
        if action == "put":
            number = streams.put(Transfer("x", length))
            put += length
        elif action == "compute":
            streams.compute(Segment(length, (length * slow,)))
            computed += length
        elif action == "idle":
            streams.idle(streams.now + length)
            idle += length
            assert streams.now == pytest.approx(before + length)
        else:
            streams.wait(number)
    streams.drain()
    places = {where: sum(streams.seconds(where).values()) for where in ("hidden", "exposed", "waiting")}
    assert sum(places.values()) == pytest.approx(put)
    assert streams.now == pytest.approx(computed + streams.slowed + idle + places["exposed"])
    assert places["waiting"] <= idle + 1e-9


@given(st.lists(st.floats(0.0, 50.0), min_size=1, max_size=12), st.floats(0.5, 60.0))
def test_buckets_hold_all_parameters_and_layers_run_whole(parameters: list[float], most: float) -> None:
    found = buckets(parameters, most)
    assert sum(p.full for p in found) == pytest.approx(sum(parameters))
    for layer in range(len(parameters)):
        assert sum(p.share for p in found if p.layer == layer) == pytest.approx(1.0)
    assert all(p.full <= most for p in found)
    assert [p.layer for p in found] == sorted(p.layer for p in found)


sizes = st.lists(st.tuples(st.floats(1.0, 50.0), st.sampled_from([0.0, 5.0, 40.0])), min_size=1, max_size=8)


@given(sizes, st.floats(0.5, 60.0))
def test_buckets_of_two_kinds_cut_the_same_layers(parameters: list[tuple[float, float]], most: float) -> None:
    common, routed = zip(*parameters, strict=True)
    found = cut_together(buckets(common, most), buckets(routed, most))
    assert sum(c.full for c in found) == pytest.approx(sum(common))
    assert sum(c.routed for c in found) == pytest.approx(sum(routed))
    for layer in range(len(parameters)):
        own = [c for c in found if c.layer == layer]
        assert sum(c.share for c in own) == pytest.approx(1.0)
        assert all(c.share > 0.0 for c in own)
    assert [c.layer for c in found] == sorted(c.layer for c in found)
