"""Nothing is lost between source and end, whatever the network."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.pipelines.running import constant, exponential, poisson, run

FULL = ("drop-newest", "drop-oldest", "drop-latest-deadline", "drop-least-urgent", "block")


@st.composite
def stages(draw):
    """A chain of up to four stages with feedback to any of them, on a shared device or not."""
    names = [f"s{n}" for n in range(draw(st.integers(1, 4)))]
    found = {}
    for at, name in enumerate(names):
        then = names[at + 1] if at + 1 < len(names) else "done"
        back = draw(st.sampled_from([*names[: at + 1], "drop"]))
        weights = {then: 0.8, back: 0.2} if then != back else {then: 1}
        size = draw(st.integers(1, 3))
        found[name] = {
            "service": exponential(draw(st.sampled_from([1, 5, 12])))
            | draw(st.sampled_from([{}, {"device": "fcfs"}, {"device": "ps"}])),
            "servers": draw(st.integers(1, 3)),
            "queue": {
                "capacity": draw(st.integers(0 if size == 1 else size, 6)),
                "order": draw(st.sampled_from(["fcfs", "lcfs", "priority", "earliest-deadline"])),
                "full": {"policy": draw(st.sampled_from(FULL))},
            },
            "batch": {"size": size, "timeout_ms": 3},
            "late": draw(st.sampled_from(["serve", "drop"])),
            "to": {"policy": "probabilistic", "options": {"weights": weights}},
        }
    return found


@settings(max_examples=60, deadline=None)
@given(stages(), st.integers(0, 1000), st.booleans())
def test_items_in_are_completed_dropped_or_in_flight(chain, seed, cut_short):
    result = run(
        seed=seed,
        sources={"s": poisson(200, 60, "s0", deadline_ms=40), "t": poisson(100, 30, "s0", priority=2)},
        stages=chain,
        devices={"fcfs": {"servers": 2}, "ps": {"sharing": "processor-sharing"}},
        **({"seconds": 0.2} if cut_short else {}),
    )
    items, found = result.summary["items"], result.outcome.items
    assert items["created"] == items["completed"] + items["dropped"] + items["in_flight"]
    assert all(not i.live for i in found if i.closed is not None)
    assert all(i.live for i in found if i.closed is None)
    # a loop of full stages that keep one another back for ever is the only reason to stay
    kept = any(stage["queue"]["full"]["policy"] == "block" for stage in chain.values())
    if not (cut_short or kept):
        assert items["created"] == 90
        assert items["in_flight"] == 0
    for row in [*result.summary["stages"].values(), *result.summary["resources"].values()]:
        assert row["busy_s"] >= -1e-12 and row["idle_s"] >= -1e-9
    for name, station in result.outcome.network.stations.items():
        capacity = chain[name]["queue"]["capacity"]
        assert len(station.line) <= capacity
        assert station.busy.most <= chain[name]["servers"]
        assert all(v.entered <= v.started <= v.ended and v.waited >= 0 for v in station.visits)
        assert all(v.batch <= chain[name]["batch"]["size"] for v in station.visits)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 4), st.integers(1, 4), st.integers(0, 100), st.booleans())
def test_branches_meet_when_enough_of_them_are_there(branches, needed, seed, lossy):
    """The item goes on at the k-th smallest of its branches' times, each of which has servers of its own."""
    names = [f"b{n}" for n in range(branches)]
    weights = {"policy": "probabilistic", "options": {"weights": {"join": 0.7, "drop": 0.3}}}
    result = run(
        seed=seed,
        sources={"s": {"arrivals": {"process": "periodic", "per_s": 10}, "items": 40, "to": names}},
        stages={n: {"service": exponential(5), "servers": None, "to": weights if lossy else "join"} for n in names}
        | {"after": {"service": constant(1), "servers": None}},
        joins={"join": {"needed": needed, "to": "after"}},
    )
    assert result.summary["items"]["in_flight"] == 0
    passed = {v.item for v in result.outcome.visits if v.stage == "after"}
    for item in result.outcome.items:
        ends = sorted(v.ended for v in result.outcome.visits if v.item == item.number and v.stage != "after")
        assert item.completed == (item.number in passed)
        if not lossy:
            assert item.closed == pytest.approx(ends[min(needed, branches) - 1] + 1e-3)


def test_a_queue_that_drops_the_oldest_serves_the_latest():
    """One server, room for one: of frames each 1 ms and service of 3.5 ms every frame served is the latest there."""
    result = run(
        sources={"s": {"arrivals": {"process": "periodic", "per_s": 1000}, "items": 200, "to": "a"}},
        stages={"a": {"service": constant(3.5), "queue": {"capacity": 1, "full": {"policy": "drop-oldest"}}}},
    )
    visits = result.outcome.visits[1:-1]
    assert all(v.started - result.outcome.items[v.item].created < 1e-3 for v in visits)
    newest = run(
        sources={"s": {"arrivals": {"process": "periodic", "per_s": 1000}, "items": 200, "to": "a"}},
        stages={"a": {"service": constant(3.5), "queue": {"capacity": 1}}},
    )
    assert newest.summary["latency_ms"]["mean"] > result.summary["latency_ms"]["mean"] + 1.0
    assert newest.summary["items"]["completed"] == pytest.approx(result.summary["items"]["completed"], abs=1)


def test_a_full_stage_holds_up_the_one_before_it():
    """Blocking after service: a tandem without room between runs at the pace of the slower one, losing nothing."""
    result = run(
        sources={"s": {"arrivals": {"process": "closed", "clients": 8}, "items": 100, "to": "a"}},
        stages={
            "a": {"service": constant(1), "to": "b"},
            "b": {"service": constant(4), "queue": {"capacity": 1, "full": {"policy": "block"}}},
        },
    )
    assert result.summary["items"]["dropped"] == 0
    assert result.outcome.makespan == pytest.approx(1e-3 + 100 * 4e-3)
    assert result.summary["stages"]["a"]["utilisation"] > 0.95


def test_a_stage_without_room_to_wait_keeps_all_others_back():
    """Three finish at once before a stage of one server and no room: two wait where they are, never in its line."""
    result = run(
        sources={"s": {"arrivals": {"process": "closed", "clients": 3}, "items": 30, "to": "a"}},
        stages={
            "a": {"service": constant(1), "servers": 3, "to": "b"},
            "b": {"service": constant(4), "queue": {"capacity": 0, "full": {"policy": "block"}}},
        },
    )
    assert result.summary["items"]["completed"] == 30
    waited = [v.started - v.entered for v in result.outcome.visits if v.stage == "b"]
    assert max(waited) == pytest.approx(8e-3)
    assert all(len(station.line) == 0 for station in result.outcome.network.stations.values())


def test_adding_a_stage_leaves_the_draws_of_others_alone():
    one = run(sources={"s": poisson(100, 200, "a")}, stages={"a": {"service": exponential(5)}})
    two = run(
        sources={"s": poisson(100, 200, "a")},
        stages={"a": {"service": exponential(5), "to": "b"}, "b": {"service": exponential(5)}},
    )
    first = [v.served for v in one.outcome.visits]
    assert np.allclose(first, [v.served for v in two.outcome.visits if v.stage == "a"])
