"""Replicas that start, drain, fail and are repaired: times by hand, and laws of availability and cost."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from simulator.assembly.control import cold_start_seconds
from simulator.assembly.pools import deployment_of
from simulator.engine.autoscaling import Autoscaling
from simulator.engine.cluster import Cluster
from simulator.engine.control import Control
from simulator.engine.failures import Failures, Outage
from simulator.engine.fleet import Interval, State
from simulator.engine.recorder import Recorder
from simulator.errors import InputError
from simulator.experiment import Result, run
from simulator.policies.autoscaling import QueueBased, Scheduled
from simulator.policies.queueing import ShortestRemainingFirst
from simulator.policies.routing import LeastOutstanding
from simulator.scenario import scenario_from
from simulator.specs.control import ColdStartSpec
from tests.builders import FixedTimer, rows, serve

STEP = 0.1


def served(
    arrivals: list[float], outputs: list[int], control: Control, *, replicas: int = 1, seqs: int = 1
) -> tuple[Cluster, Recorder]:
    source = rows(arrivals, [4] * len(arrivals), outputs)
    return serve(
        source,
        timer=FixedTimer(STEP),
        max_num_seqs=seqs,
        replicas=replicas,
        router=LeastOutstanding(),
        control=control,
    )


def states(cluster: Cluster, replica: int) -> list[tuple[str, float, float]]:
    found = [i for i in cluster.fleet.history().intervals if i.replica == replica]
    return [(i.state.value, pytest.approx(i.start_s), pytest.approx(i.end_s)) for i in found]


def test_a_second_replica_starts_cold_and_drains() -> None:
    """Wanted at 1 s, it serves 2.5 s later; unwanted at 6 s, it finishes its last request at 8.1 s and goes off."""
    scaling = Autoscaling(Scheduled(at=[(0.0, 1), (1.0, 2), (6.0, 1)]), 1, 2, interval_s=0.5, start_s=2.5)
    arrivals, outputs = [0.0, 2.0, 4.05, 4.1, 7.0], [10, 20, 20, 40, 30]
    cluster, recorder = served(arrivals, outputs, Control(autoscaling=scaling))
    c = recorder.requests()
    assert c["replica"].tolist() == [0, 0, 0, 1, 0]
    assert states(cluster, 1) == [("starting", 1.0, 3.5), ("serving", 3.5, 6.0), ("draining", 6.0, 8.1)]
    assert c["finish_s"][3] == pytest.approx(8.1)


def test_a_replica_under_a_queue_discipline_drains() -> None:
    scaling = Autoscaling(Scheduled(at=[(0.0, 2), (1.0, 1)]), 1, 2, interval_s=0.5, start_s=0.0)
    cluster, recorder = serve(
        rows([0.0, 0.0, 0.0, 0.0], [4] * 4, [5, 8, 20, 30]),
        timer=FixedTimer(STEP),
        max_num_seqs=1,
        replicas=2,
        router=LeastOutstanding(),
        control=Control(autoscaling=scaling),
        discipline=lambda: ShortestRemainingFirst(rng=np.random.default_rng(0)),
    )
    assert recorder.finished == 4
    assert [state for state, _, _ in states(cluster, 1)] == ["serving", "draining"]


def test_cost_is_the_sum_of_the_intervals() -> None:
    rng = np.random.default_rng(1)
    arrivals = np.cumsum(rng.exponential(0.3, 200)).tolist()
    scaling = Autoscaling(QueueBased(target=2.0), 1, 6, interval_s=1.0, start_s=1.5, shrink_delay_s=5.0)
    cluster, _ = served(arrivals, rng.integers(1, 40, 200).tolist(), Control(autoscaling=scaling))
    history, end = cluster.fleet.history(), cluster.clock.now
    each: dict[int, list[Interval]] = {}
    for interval in history.intervals:
        each.setdefault(interval.replica, []).append(interval)
    assert len(each) > 2
    for intervals in each.values():
        assert all(a.end_s <= b.start_s for a, b in pairwise(intervals))
    assert history.seconds(0.0, end) == pytest.approx(sum(i.end_s - i.start_s for i in history.intervals))
    starts = [i.end_s - i.start_s for i in history.intervals if i.state is State.STARTING]
    assert starts and max(starts) <= 1.5 + 1e-9


def test_a_failure_throws_requests_out_and_their_tokens_are_computed_again() -> None:
    """Ten steps of 0.1 s; the failure at 0.55 s keeps 5 tokens, and the other replica takes 5 steps more."""
    failures = Failures(outages=(Outage(0.55, 1.0, (0,)),))
    cluster, recorder = served([0.0, 0.0], [10, 2], Control(failures=failures), replicas=2)
    c = recorder.requests()
    assert c["replica"].tolist() == [1, 1]
    assert c["finish_s"][0] == pytest.approx(0.55 + 5 * STEP)
    assert c["preemptions"].tolist() == [1, 0]
    assert recorder.inter_token.total == 9 + 1
    assert cluster.fleet.restarts == 1 == cluster.fleet.failures


def test_requests_wait_at_the_router_while_nothing_serves() -> None:
    failures = Failures(outages=(Outage(0.25, 1.0, (0,)), Outage(0.3, 2.0, (0,))))
    cluster, recorder = served([0.0, 0.5], [5, 1], Control(failures=failures))
    c = recorder.requests()
    assert c["scheduled_s"].tolist() == pytest.approx([0.0, 2.3 + 3 * STEP])
    assert c["finish_s"].tolist() == pytest.approx([2.3 + 3 * STEP, 2.3 + 4 * STEP])
    assert states(cluster, 0)[:2] == [("serving", 0.0, 0.25), ("failed", 0.25, 2.3)]


@pytest.mark.parametrize("shape", [1.0, 2.5])
def test_steady_availability(shape: float) -> None:
    """MTBF / (MTBF + MTTR) by renewal theory, whatever the distributions; 40 replicas for 100 cycles each."""
    failures = Failures(mtbf_s=8.0, mttr_s=2.0, shape=shape, seed=3)
    arrivals = [0.0, 1000.0]
    cluster, _ = served(arrivals, [1, 1], Control(failures=failures), replicas=40)
    history = cluster.fleet.history()
    down = history.seconds(0.0, 1000.0, State.FAILED) / history.seconds(0.0, 1000.0)
    assert 1 - down == pytest.approx(0.8, abs=0.01)


def test_nodes_take_their_replicas_with_them() -> None:
    failures = Failures(node_mtbf_s=5.0, mttr_s=1.0, replicas_per_node=2, seed=1)
    cluster, _ = served([0.0, 100.0], [1, 1], Control(failures=failures), replicas=4)
    assert states(cluster, 0) == states(cluster, 1) != states(cluster, 2)
    assert states(cluster, 2) == states(cluster, 3)


def test_failures_too_frequent_to_serve_are_an_error() -> None:
    failures = Failures(mtbf_s=0.01, mttr_s=0.0, seed=1)
    with pytest.raises(InputError, match=r"failures\.mtbf_s"):
        served([0.0], [5], Control(failures=failures))


def scenario(**changes: object) -> Result:
    values = {
        "model": "Qwen/Qwen2.5-0.5B",
        "device": "nvidia-l4-24gb",
        "load": {"trace": "given"},
        **changes,
    }
    return run(scenario_from(values), source=rows([0.2 * i for i in range(40)], [60] * 40, [50] * 40))


def test_cost_and_energy_count_the_replicas_that_are_on() -> None:
    """Two replicas all the time cost twice as much as one; a timetable of 1 then 2 costs what its intervals say."""
    one, two = scenario(replicas=1).summary, scenario(replicas=2).summary
    timetable = {"policy": "scheduled", "options": {"at": [[0, 1], [4, 2]]}, "max_replicas": 2, "every_s": 1}
    grown = scenario(replicas=1, autoscaling=timetable).summary
    per_replica = one["cost"]["total_usd"] / one["makespan_s"]
    assert two["cost"]["total_usd"] == pytest.approx(2 * per_replica * two["makespan_s"])
    expected = grown["makespan_s"] + (grown["makespan_s"] - 4.0)
    assert grown["fleet"]["replica_seconds"] == pytest.approx(expected)
    assert grown["cost"]["total_usd"] == pytest.approx(per_replica * expected)
    assert grown["fleet"]["most_replicas"] == 2
    idle_more = two["energy"]["total_j"] - one["energy"]["total_j"]
    assert 0 < grown["energy"]["total_j"] - one["energy"]["total_j"] < idle_more


def test_cold_start_loads_the_weights() -> None:
    values = {"model": "Qwen/Qwen2.5-0.5B", "device": "nvidia-h100-sxm-80gb", "load": {"trace": "given"}}
    deployment = deployment_of(scenario_from(values))
    weights = deployment.memory.weights
    found = {
        source: cold_start_seconds(ColdStartSpec(weights_from=source, fixed_s=10.0), deployment)
        for source in ("disk", "network", "host")
    }
    assert found["disk"] == pytest.approx(10.0 + weights / 6.9e9)
    assert found["host"] == pytest.approx(10.0 + weights / (63e9 * 0.86), rel=1e-4)
    assert found["host"] < found["disk"]
    assert cold_start_seconds(ColdStartSpec(gb_per_s=0.5), deployment) == pytest.approx(weights / 0.5e9)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"replicas": 3, "autoscaling": {"policy": "queue-based", "max_replicas": 2}}, "replicas 3 is not within"),
        ({"autoscaling": {"policy": "queue-based"}}, "max_replicas is missing"),
        ({"failures": {"weibull_shape": 2}}, "needs distribution weibull"),
        ({"failures": {"outages": [{"at_s": 0, "repair_s": 1, "replicas": [4]}]}}, "replica 4 is not among the 1"),
        ({"failures": {"mtbf_s": 9}, "disaggregation": {}}, "leave out disaggregation"),
        ({"admission": {"policy": "al"}}, "did you mean all"),
        ({"admission": {"policy": "predicted-wait"}, "objectives": {}}, "objectives.ttft_ms"),
    ],
)
def test_wrong_fields_are_named(changes: dict[str, object], words: str) -> None:
    with pytest.raises(InputError, match=words):
        scenario(**changes)


def test_shed_requests_are_counted() -> None:
    result = scenario(admission={"policy": "token-bucket", "options": {"rate": 60, "burst": 120}})
    requests = result.summary["requests"]
    assert requests["shed"] > 0
    assert requests["finished"] + requests["shed"] == 40
