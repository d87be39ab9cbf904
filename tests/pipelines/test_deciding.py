"""Routing, adaptation and configurations: each decision by what it does."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.errors import InputError
from simulator.policies.stages.configuration import Configuration, MeetDeadline
from simulator.policies.stages.queues import DropLatestDeadline, DropLeastUrgent, DropNewest, DropOldest
from simulator.policies.stages.recurring import Remembered, Repeat
from tests.pipelines.running import constant, covers, exponential, poisson, run


class Frame:
    """Stands in for an item."""

    source = "s"

    def __init__(self, number, created, deadline, priority):
        self.attributes = {}
        self.number, self.created, self.deadline, self.priority = number, created, deadline, priority


FRAMES = st.lists(st.tuples(st.floats(0, 9), st.floats(0, 9), st.integers(0, 3)), min_size=1, max_size=6)


@given(FRAMES)
def test_full_queues_drop_whom_they_say(values):
    frames = [Frame(n, *v) for n, v in enumerate(values)]
    waiting, arriving = frames[:-1], frames[-1]
    assert DropNewest().drop(waiting, arriving) == len(waiting)
    assert frames[DropOldest().drop(waiting, arriving)].created == min(f.created for f in frames)
    assert frames[DropLatestDeadline().drop(waiting, arriving)].deadline == max(f.deadline for f in frames)
    assert frames[DropLeastUrgent().drop(waiting, arriving)].priority == max(f.priority for f in frames)


@given(
    st.lists(st.tuples(st.floats(0.01, 2), st.floats(0, 1)), min_size=1, max_size=5), st.floats(1, 4), st.floats(0, 3)
)
def test_the_most_accurate_configuration_that_is_in_time(pairs, slowdown, deadline):
    known = [Configuration(str(n), *pair) for n, pair in enumerate(pairs)]
    chosen = known[MeetDeadline().choose(Frame(0, 0, deadline, 0), known, slowdown, 0.0)]
    fits = [c for c in known if c.seconds * slowdown <= deadline]
    if fits:
        assert chosen in fits and chosen.accuracy == max(c.accuracy for c in fits)
    else:
        assert chosen.seconds == min(c.seconds for c in known)


def test_early_exit_leaves_the_hard_items_to_the_second_stage():
    """Difficulty uniform, threshold 0.7: three in ten go on; latency is the mix of both paths."""
    result = run(
        sources={
            "s": {
                "arrivals": {"process": "periodic", "per_s": 50},
                "items": 4000,
                "to": "small",
                "attributes": {"difficulty": {"law": "uniform"}},
            }
        },
        stages={
            "small": {
                "service": constant(2),
                "to": {
                    "policy": "by-threshold",
                    "options": {"attribute": "difficulty", "limit": 0.7, "above": "large", "below": "done"},
                },
            },
            "large": {"service": constant(10)},
        },
    )
    assert covers([i.closed - i.created for i in result.outcome.items], 2e-3 + 0.3 * 10e-3)
    for visit in result.outcome.visits:
        if visit.stage == "large":
            assert result.outcome.items[visit.item].attributes["difficulty"] > 0.7


def test_a_tracker_runs_between_detections():
    to = {"policy": "every-nth", "options": {"n": 5, "to": "detect", "between": "track"}}
    result = run(
        sources={"s": {"arrivals": {"process": "periodic", "per_s": 30}, "items": 100, "to": to}},
        stages={"detect": {"service": constant(20)}, "track": {"service": constant(2)}},
    )
    assert result.summary["stages"]["detect"]["visits"] == 20
    assert result.summary["stages"]["track"]["visits"] == 80
    assert {v.item % 5 for v in result.outcome.visits if v.stage == "detect"} == {0}


def test_a_class_has_a_place_of_its_own():
    to = {"policy": "by-class", "options": {"attribute": "class", "cases": {0: "a", 1: "b"}, "otherwise": "drop"}}
    law = {"law": "empirical", "values": [0, 1, 2], "weights": [1, 1, 2]}
    result = run(
        sources={
            "s": {"arrivals": {"process": "periodic", "per_s": 9}, "items": 400, "to": to, "attributes": {"class": law}}
        },
        stages={"a": {"service": constant(1)}, "b": {"service": constant(1)}},
    )
    classes = np.array([i.attributes["class"] for i in result.outcome.items])
    assert result.summary["items"]["dropped_by"] == {"not wanted": int((classes == 2).sum())}
    assert result.summary["stages"]["a"]["visits"] == (classes == 0).sum()


def test_offloading_follows_the_link():
    """Locally 50 ms; over the link 10 ms while it is good and 1 s while it is bad."""
    to = {"policy": "fastest", "options": {"paths": [["local"], ["send", "cloud"]]}}
    result = run(
        sources={"s": {"arrivals": {"process": "periodic", "per_s": 10}, "items": 200, "to": to}},
        stages={
            "local": {"service": constant(50)},
            "send": {"service": {"kind": "transfer", "link": "l", "bytes": 10_000}, "to": "cloud"},
            "cloud": {"service": constant(1)},
        },
        links={"l": {"rate": "recorded", "mbit_per_s": [8, 0.08], "seconds": [5.01, 5]}},
    )
    for visit in result.outcome.visits:
        if visit.stage in ("local", "send"):
            assert visit.stage == ("send" if visit.entered % 10.01 < 5.01 else "local")


def test_frames_are_skipped_only_under_load():
    def rate(per_s):
        to = {"policy": "adaptive-rate", "options": {"to": "a", "most": 2}}
        result = run(
            sources={"s": {"arrivals": {"process": "periodic", "per_s": per_s}, "items": 1500, "to": to}},
            stages={"a": {"service": exponential(25)}},
        )
        return result.summary

    assert rate(5)["items"]["loss_share"] < 0.05
    busy = rate(100)
    assert busy["items"]["loss_share"] > 0.5
    assert busy["latency_ms"]["p99"] < 300
    assert busy["stages"]["a"]["utilisation"] > 0.4


def test_a_contended_device_gets_the_smaller_model():
    configurations = {
        "large": {"service": constant(60) | {"device": "d"}, "accuracy": 0.8},
        "small": {"service": constant(15) | {"device": "d"}, "accuracy": 0.6},
    }
    result = run(
        sources={"s": {"arrivals": {"process": "periodic", "per_s": 10}, "items": 400, "to": "a", "deadline_ms": 80}},
        stages={"a": {"service": {"kind": "adaptive", "configurations": configurations}}},
        devices={"d": {"contention": {"available": [1.0, 0.5], "seconds": [10, 10]}}},
    )
    calm = [v for v in result.outcome.visits if v.started % 20 < 9]
    contended = [v for v in result.outcome.visits if 11 < v.started % 20 < 19]
    assert all(v.served == pytest.approx(60e-3) for v in calm[5:100])
    assert all(v.served == pytest.approx(30e-3) for v in contended)
    assert result.summary["items"]["late"] <= 2


class ByParity:
    """A user's own: odd items to one stage, even ones to another."""

    def __init__(self, *, odd, even):
        self.targets = (even, odd)

    def choose(self, item, view):
        return (self.targets[item.number % 2],)


def test_a_users_own_class_decides():
    to = {"policy": "tests.pipelines.test_deciding:ByParity", "options": {"odd": "a", "even": "b"}}
    result = run(
        sources={"s": poisson(10, 20, to)},
        stages={"a": {"service": constant(1)}, "b": {"service": constant(1)}},
    )
    assert {v.item % 2 for v in result.outcome.visits if v.stage == "a"} == {1}
    assert result.summary["stages"]["b"]["visits"] == 10


def test_a_loop_without_an_end_is_refused():
    with pytest.raises(InputError, match="let its loop end"):
        run(sources={"s": poisson(1, 1, "a")}, stages={"a": {"service": constant(1), "to": "a"}})


def test_an_attribute_that_items_do_not_have_is_named():
    to = {"policy": "by-threshold", "options": {"attribute": "size", "limit": 1, "above": "done", "below": "done"}}
    with pytest.raises(InputError, match="no attribute size"):
        run(sources={"s": poisson(1, 1, to)})


def source(items, to, **attributes):
    return {"s": {"arrivals": {"process": "closed", "clients": 1}, "items": items, "to": to, "attributes": attributes}}


@given(st.lists(st.integers(0, 5), min_size=1, max_size=40), st.integers(1, 6))
def test_results_are_kept_for_the_inputs_that_came_last(keys, capacity):
    """A hit is a key among the `capacity` distinct ones that came last."""
    cache = Remembered(attribute="key", to="model", capacity=capacity)
    for n, key in enumerate(keys):
        frame = Frame(n, 0.0, 0.0, 0)
        frame.attributes = {"key": float(key)}
        before = list(dict.fromkeys(reversed(keys[:n])))[:capacity]
        assert cache.choose(frame, None) == (("done",) if key in before else ("model",))


def test_each_input_that_comes_twice_is_computed_once():
    to = {"policy": "remembered", "options": {"attribute": "image", "to": "model"}}
    result = run(
        sources=source(60, to, image={"law": "counted", "period": 30}), stages={"model": {"service": constant(2)}}
    )
    assert result.summary["stages"]["model"]["visits"] == 30
    assert result.summary["makespan_s"] == pytest.approx(30 * 2e-3)


def test_a_loop_is_gone_round_so_many_times():
    again = {"policy": "repeat", "options": {"to": "step", "times": 7, "then": "decode"}}
    stages = {"step": {"service": constant(3), "to": again}, "decode": {"service": constant(5)}}
    result = run(sources=source(4, "step"), stages=stages)
    assert result.summary["latency_ms"]["max"] == pytest.approx(7 * 3 + 5)
    assert result.summary["stages"]["step"]["visits"] == 4 * 7


@pytest.mark.parametrize(
    "policy", [lambda: Repeat(to="a", times=0), lambda: Remembered(attribute="a", to="b", capacity=0)]
)
def test_loops_and_caches_hold_at_least_one(policy):
    with pytest.raises(ValueError, match="at least 1"):
        policy()


def test_swapping_models_reads_their_weights_and_ways_to_run_one_do_not():
    """ResNet-18 has 11.69 million weights of 4 bytes: 0.468 s at 0.1 GB/s, each time that another model is chosen."""
    gpu = {"kind": "model", "device": "gpu"}
    known = {
        "small": {"service": {**gpu, "model": "resnet-18"}, "accuracy": 69.8},
        "large": {"service": {**gpu, "model": "resnet-50"}, "accuracy": 76.1},
    }
    shared = {
        "sources": source(3, "a"),
        "devices": {"gpu": {"device": "nvidia-jetson-tx2"}},
        "stores": {"flash": {"iops": 1000, "gb_per_s": 0.1, "latency_us": 0}},
    }

    def makespan(**more):
        choose = {"policy": "fixed", "options": {"name": "small"}}
        order = {"large": known["large"], "small": known["small"]}
        service = {"kind": "adaptive", "configurations": order, "choose": choose, **more}
        return run(**shared, stages={"a": {"service": service}}).summary

    swapped, shared_weights = makespan(swap_from="flash"), makespan()
    assert (swapped["stages"]["a"]["swaps"], shared_weights["stages"]["a"]["swaps"]) == (1, 0)
    assert swapped["makespan_s"] - shared_weights["makespan_s"] == pytest.approx(11.69e6 * 4 / 1e8, rel=0.01)
