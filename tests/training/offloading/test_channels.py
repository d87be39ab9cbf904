"""Tasks over shared channels: bounds, fairness, conservation, and a reference that shares step by step."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.engine.training.offloading.channels import Run, Task, run_tasks, shared_rates

CAPACITY = {"down": 10.0, "up": 10.0, "drive": 4.0, "memory": 25.0}


@st.composite
def graphs(draw: st.DrawFn) -> list[Task]:
    """Tasks that wait only for earlier ones, on a few streams."""
    tasks = []
    for number in range(draw(st.integers(1, 12))):
        demands = {c: float(draw(st.integers(1, 50))) for c in CAPACITY if draw(st.booleans())}
        after = tuple(n for n in range(number) if draw(st.integers(0, 4)) == 0)
        least = float(draw(st.integers(0, 5)))
        tasks.append(Task(f"t{number}", draw(st.sampled_from("abcd")), demands, least, after))
    return tasks


def alone(task: Task) -> float:
    """Seconds of a task with all channels to itself."""
    return max([task.least, *(d / CAPACITY[c] for c, d in task.demands.items())])


@settings(max_examples=150, deadline=None)
@given(graphs())
def test_a_run_takes_no_less_than_any_channel_and_no_more_than_all_one_by_one(tasks: list[Task]) -> None:
    run = run_tasks(tasks, CAPACITY)
    for channel, rate in CAPACITY.items():
        assert run.seconds >= run.carried(channel) / rate * (1.0 - 1e-9)
    for stream in {t.stream for t in tasks}:
        assert run.seconds >= sum(alone(t) for t in tasks if t.stream == stream) * (1.0 - 1e-9)
    assert run.seconds <= sum(alone(t) for t in tasks) * (1.0 + 1e-9)


@settings(max_examples=100, deadline=None)
@given(graphs())
def test_no_task_is_faster_than_alone_nor_before_what_it_waits_for(tasks: list[Task]) -> None:
    run = run_tasks(tasks, CAPACITY)
    before: dict[str, float] = {}
    for task, start, end in zip(tasks, run.starts, run.ends, strict=True):
        assert end - start >= alone(task) * (1.0 - 1e-9)
        assert start >= max([before.get(task.stream, 0.0), *(float(run.ends[n]) for n in task.after)])
        before[task.stream] = float(end)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.dictionaries(st.sampled_from(sorted(CAPACITY)), st.floats(0.1, 100.0), min_size=1), min_size=1, max_size=6
    )
)
def test_rates_are_max_min_fair(demands: list[dict[str, float]]) -> None:
    """Every task has a full channel in which none that crosses it is faster (Bertsekas and Gallager, 6.5.2)."""
    tasks = {n: Task(f"t{n}", f"s{n}", d) for n, d in enumerate(demands)}
    rates = shared_rates(tasks, CAPACITY)
    used = {
        c: sum(rates[n] * t.demands.get(c, 0.0) / t.size for n, t in tasks.items()) for c in CAPACITY
    }  # fmt: skip
    for channel, rate in CAPACITY.items():
        assert used[channel] <= rate * (1.0 + 1e-9)
    for n, task in tasks.items():
        assert any(
            used[c] >= CAPACITY[c] * (1.0 - 1e-9)
            and all(rates[m] <= rates[n] * (1.0 + 1e-9) for m, other in tasks.items() if other.demands.get(c))
            for c in task.demands
        )


def test_two_equal_transfers_share_a_link_and_the_longer_has_it_alone_at_the_end() -> None:
    tasks = [Task("short", "a", {"down": 10.0}), Task("long", "b", {"down": 30.0})]
    run = run_tasks(tasks, CAPACITY)
    assert run.ends.tolist() == pytest.approx([2.0, 4.0])


def test_transfers_both_ways_do_not_meet() -> None:
    run = run_tasks([Task("in", "a", {"down": 10.0}), Task("out", "b", {"up": 10.0})], CAPACITY)
    assert run.ends.tolist() == pytest.approx([1.0, 1.0])


def test_what_limits_a_task_elsewhere_leaves_its_share_to_the_others() -> None:
    slow, fast = Task("slow", "a", {"down": 10.0}, least=5.0), Task("fast", "b", {"down": 8.0})
    run = run_tasks([slow, fast], CAPACITY)
    assert run.ends.tolist() == pytest.approx([5.0, 1.0])


@pytest.mark.parametrize("devices", [2, 4])
def test_one_device_of_many_alike_is_folded_exactly(devices: int) -> None:
    """Devices that share a node's drives and memory, against one with its share of them."""

    def own(device: int) -> list[Task]:
        first = device * 3
        return [
            Task("read", f"read {device}", {"drive": 8.0, "memory": 8.0}),
            Task("copy", f"copy {device}", {f"down {device}": 8.0, "memory": 8.0}, after=(first,)),
            Task("compute", f"compute {device}", {}, 3.0, after=(first + 1,)),
        ]

    links = {f"down {d}": 10.0 for d in range(devices)}
    together = run_tasks([t for d in range(devices) for t in own(d)], {"drive": 4.0, "memory": 25.0} | links)
    one = run_tasks(own(0), {"drive": 4.0 / devices, "memory": 25.0 / devices, "down 0": 10.0})
    assert together.seconds == pytest.approx(one.seconds, rel=1e-12)


def test_memory_is_taken_at_the_start_and_given_at_the_end() -> None:
    tasks = [
        Task("in", "a", {"down": 10.0}, takes={"device": 5.0}),
        Task("use", "b", {}, 2.0, after=(0,), takes={"device": 1.0}, gives={"device": 6.0}),
    ]
    run: Run = run_tasks(tasks, CAPACITY)
    held, times = run.memory("device")
    assert held.tolist() == [5.0, 6.0, 0.0]
    assert times.tolist() == pytest.approx([0.0, 1.0, 3.0])
    assert run.peak("device") == 6.0


def test_tasks_that_wait_for_one_another_are_named() -> None:
    tasks = [Task("first", "a", {}, 1.0, after=(1,)), Task("second", "a", {}, 1.0)]
    with pytest.raises(ValueError, match="first waits for ever"):
        run_tasks(tasks, CAPACITY)


@pytest.mark.parametrize(("level", "ends"), [(0, 12.5), (1, 11.0), (None, 10.0)])
def test_computing_advances_more_slowly_while_a_collective_crowds_it(level: int | None, ends: float) -> None:
    """In 5 s beside a collective of level 0 a quarter of 20 s is done, and three quarters of 10 s are left."""
    computing = Task("forward", "compute", least=10.0, beside=(20.0, 12.5))
    run = run_tasks([computing, Task("gather", "gather", {"down": 50.0}, crowds=level)], CAPACITY)
    assert run.ends.tolist() == pytest.approx([ends, 5.0])
