"""Figures of a fleet whose replicas come, go and fail."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from simulator.engine.fleet import History, State

if TYPE_CHECKING:
    from simulator.assembly.pools import Pool
    from simulator.experiment import Result


def span(result: Result) -> tuple[float, float]:
    """First arrival and last finish, in seconds."""
    c = result.request_columns
    return float(c["arrival_s"].min()), float(c["finish_s"].max())


def changes_size(result: Result) -> bool:
    """Whether the number of replicas that are paid for varies."""
    return result.fleet is not None and result.scenario.autoscaling.policy != "fixed"


def mean_replicas(result: Result, pool: Pool) -> float:
    """Replicas paid for on average between the first arrival and the last finish: starting, draining, failed too."""
    if not changes_size(result):
        return pool.replicas
    assert result.fleet is not None
    start, end = span(result)
    return result.fleet.seconds(start, end) / max(end - start, 1e-12)


def most_replicas(result: Result) -> int:
    """One more than the highest number of a replica that was ever on."""
    fleet, count = result.fleet, sum(pool.replicas for pool in result.pools)
    return count if fleet is None else max(count, *(i.replica + 1 for i in fleet.intervals))


def fleet_figures(result: Result, fleet: History) -> dict[str, Any]:
    """Replica-seconds by state, the largest fleet at one time, availability, and what failures did."""
    start, end = span(result)
    seconds = {state.value: fleet.seconds(start, end, state) for state in State if state is not State.OFF}
    provisioned = fleet.seconds(start, end)
    return {
        "replica_seconds": provisioned,
        "replica_seconds_by_state": seconds,
        "mean_replicas": provisioned / max(end - start, 1e-12),
        "most_replicas": _most_at_once(fleet),
        "availability": 1.0 - seconds["failed"] / provisioned if provisioned else 1.0,
        "failures": fleet.failures,
        "interrupted_requests": fleet.restarts,
    }


def _most_at_once(fleet: History) -> int:
    changes = sorted((t, d) for i in fleet.intervals for t, d in ((i.start_s, 1), (i.end_s, -1)))
    on = most = 0
    for _, change in changes:
        on += change
        most = max(most, on)
    return most
