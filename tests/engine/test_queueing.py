"""The engine against queueing theory: with one sequence at a time and a fixed service time, a replica is M/D/1."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from simulator.engine.cluster_spec import Load
from simulator.policies.routing import LeastOutstanding
from tests.builders import FixedTimer, rows, serve

SERVICE = 0.1


def waits(rho: float, count: int, seed: int, *, replicas: int = 1) -> np.ndarray:
    rng = np.random.default_rng(seed)
    arrivals = np.cumsum(rng.exponential(SERVICE / rho / replicas, count))
    source = rows(arrivals.tolist(), [4] * count, [1] * count)
    _, recorder = serve(source, timer=FixedTimer(SERVICE), max_num_seqs=1, replicas=replicas)
    c = recorder.requests()
    return c["scheduled_s"] - c["arrival_s"]


@pytest.mark.parametrize("rho", [0.3, 0.6, 0.8])
def test_mean_wait_is_that_of_m_d_1(rho: float) -> None:
    """Mean wait rho s / (2 (1 - rho)) (Pollaczek-Khinchine) lies in the 99 % interval of independent runs."""
    means = np.array([waits(rho, 4000, seed)[500:].mean() for seed in range(12)])
    expected = rho * SERVICE / (2 * (1 - rho))
    half = stats.t.ppf(0.995, len(means) - 1) * means.std(ddof=1) / np.sqrt(len(means))
    assert abs(means.mean() - expected) <= half


def test_waits_follow_lindley_recursion() -> None:
    """W[n+1] = max(0, W[n] + s - a[n]) request by request."""
    rng = np.random.default_rng(7)
    arrivals = np.cumsum(rng.exponential(0.12, 500))
    _, recorder = serve(rows(arrivals.tolist(), [4] * 500, [1] * 500), timer=FixedTimer(SERVICE), max_num_seqs=1)
    c = recorder.requests()
    expected = np.zeros(500)
    for n in range(1, 500):
        expected[n] = max(0.0, expected[n - 1] + SERVICE - (arrivals[n] - arrivals[n - 1]))
    np.testing.assert_allclose(c["scheduled_s"] - c["arrival_s"], expected, atol=1e-9)


def test_round_robin_over_replicas_splits_a_poisson_stream() -> None:
    """Round robin over two replicas gives each Erlang-2 gaps, so less waiting than M/D/1 at the same load."""
    assert waits(0.8, 8000, 3, replicas=2)[500:].mean() < 0.8 * SERVICE / (2 * 0.2)


def test_closed_loop_with_one_client_never_waits() -> None:
    """One client sends the next request as its last one finishes: no queue, makespan n times the service time."""
    source = rows([0.0] * 50, [4] * 50, [1] * 50)
    _, recorder = serve(source, timer=FixedTimer(SERVICE), load=Load(concurrency=1))
    c = recorder.requests()
    assert (c["scheduled_s"] == c["arrival_s"]).all()
    assert c["finish_s"].max() == pytest.approx(50 * SERVICE)


def test_closed_loop_keeps_its_concurrency() -> None:
    """N clients and room for N keep exactly N requests in service until the tail drains."""
    source = rows([0.0] * 60, [4] * 60, [5] * 60)
    _, recorder = serve(source, timer=FixedTimer(SERVICE), load=Load(concurrency=6), max_num_seqs=16)
    rates = recorder.iterations()
    busy = rates["decode_sequences"] + rates["prefill_sequences"]
    assert set(busy.tolist()) == {6.0}


def test_decode_takes_one_step_a_token() -> None:
    """A lone request of p prompt and o output tokens takes one iteration and o - 1 decode steps."""
    _, recorder = serve(rows([0.0], [20], [11]), timer=FixedTimer(SERVICE))
    c = recorder.requests()
    assert c["first_token_s"][0] == pytest.approx(SERVICE)
    assert c["finish_s"][0] == pytest.approx(11 * SERVICE)


def test_least_outstanding_balances_counts() -> None:
    source = rows([0.0] * 40, [4] * 40, [3] * 40)
    cluster, recorder = serve(source, timer=FixedTimer(SERVICE), replicas=4, router=LeastOutstanding())
    assert np.bincount(recorder.requests()["replica"].astype(int)).tolist() == [10] * 4
    assert cluster.submitted == 40
