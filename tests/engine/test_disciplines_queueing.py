"""Queue disciplines against queueing theory: one sequence at a time makes a replica an M/G/1 queue.

A request of n output tokens takes n steps of fixed length, so a service time is n steps. Arrivals are Poisson and sizes
come from two or three values, for which the formulas are sums.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from simulator.policies.queueing import Discipline, Priority, ShortestJobFirst, ShortestRemainingFirst
from tests.builders import FixedTimer, rows, serve

STEP = 0.001
SIZES = np.array([40, 160, 800])
SHARES = np.array([0.6, 0.3, 0.1])
RUNS, COUNT, WARM = 8, 1500, 150


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def observed(discipline: Callable[[], Discipline], rho: float, *, by_class: bool, wait: bool) -> np.ndarray:
    """Mean waits (or times in system) by size, one row a run; classes are numbered by size where `by_class`."""
    means = []
    for seed in range(RUNS):
        draws = np.random.default_rng(seed)
        kind = draws.choice(3, COUNT, p=SHARES)
        mean_service = float(SIZES @ SHARES) * STEP
        arrivals = np.cumsum(draws.exponential(mean_service / rho, COUNT)).tolist()
        source = rows(
            arrivals, [4] * COUNT, SIZES[kind].tolist(), priorities=kind.tolist() if by_class else [0] * COUNT
        )
        _, recorder = serve(source, timer=FixedTimer(STEP), discipline=discipline, max_num_seqs=1, blocks=10_000)
        c = recorder.requests()
        spent = c["scheduled_s" if wait else "finish_s"] - c["arrival_s"]
        means.append([spent[WARM:][kind[WARM:] == k].mean() for k in range(3)])
    return np.array(means)


def assert_means(found: np.ndarray, expected: np.ndarray, *, slack: float = 0.0) -> None:
    """Each class's mean lies in the 99.9 % interval of independent runs, `slack` seconds wider."""
    half = stats.t.ppf(0.9995, len(found) - 1) * found.std(axis=0, ddof=1) / np.sqrt(len(found))
    assert (abs(found.mean(axis=0) - expected) <= half + slack).all(), (found.mean(axis=0), expected, half)


def loads(rho: float) -> tuple[np.ndarray, np.ndarray, float]:
    """Arrival rate and load of each class, and the mean residual work in service."""
    service = SIZES * STEP
    rates = rho / float(service @ SHARES) * SHARES
    return rates, rates * service, float(rates @ service**2) / 2


def cobham(rho: float) -> np.ndarray:
    """Mean waits of non-preemptive classes: W0 / ((1 - load of better ones) (1 - load including its own))."""
    _, load, residual = loads(rho)
    upto = np.cumsum(load)
    return residual / ((1 - (upto - load)) * (1 - upto))


def test_waits_of_classes_are_cobhams() -> None:
    found = observed(lambda: Priority(preemptive=False), 0.7, by_class=True, wait=True)
    assert_means(found, cobham(0.7))


def test_shortest_job_first_is_priority_by_size() -> None:
    found = observed(lambda: ShortestJobFirst(rng=rng()), 0.7, by_class=False, wait=True)
    assert_means(found, cobham(0.7))


def test_preemptive_classes_resume_where_they_stopped() -> None:
    """Time in system of preemptive-resume classes; a step in progress is finished first, which costs up to a step."""
    rho = 0.7
    rates, load, _ = loads(rho)
    upto = np.cumsum(load)
    residual = np.cumsum(rates * (SIZES * STEP) ** 2) / 2
    expected = SIZES * STEP / (1 - (upto - load)) + residual / ((1 - (upto - load)) * (1 - upto))
    assert_means(observed(Priority, rho, by_class=True, wait=False), expected, slack=2 * STEP)


def srpt(rho: float) -> np.ndarray:
    """Schrage and Miller, 1966: mean time in system by size under shortest remaining processing time."""
    rates, load, _ = loads(rho)
    service = SIZES * STEP
    times = []
    for k, size in enumerate(service):
        below, upto = load[:k].sum(), load[: k + 1].sum()
        second = (rates[: k + 1] * service[: k + 1] ** 2).sum() + rates[k + 1 :].sum() * size**2
        wait = second / 2 / ((1 - below) * (1 - upto))
        grid = np.append(0.0, service[: k + 1])
        lowered = np.append(0.0, np.cumsum(load[:k]))
        residence = (np.diff(grid) / (1 - lowered)).sum()
        times.append(wait + residence)
    return np.array(times)


def test_shortest_remaining_first_is_schrage_and_millers() -> None:
    found = observed(lambda: ShortestRemainingFirst(rng=rng()), 0.7, by_class=False, wait=False)
    assert_means(found, srpt(0.7), slack=3 * STEP)


def test_knowing_sizes_helps_and_preempting_helps_more() -> None:
    """Mean time in system: SRPT < SJF < arrival order, and a bad predictor lies between the last two."""

    def mean(discipline: Callable[[], Discipline] | None) -> float:
        draws = np.random.default_rng(1)
        sizes = SIZES[draws.choice(3, COUNT, p=SHARES)]
        arrivals = np.cumsum(draws.exponential(float(SIZES @ SHARES) * STEP / 0.8, COUNT))
        source = rows(arrivals.tolist(), [4] * COUNT, sizes.tolist())
        _, recorder = serve(source, timer=FixedTimer(STEP), discipline=discipline, max_num_seqs=1, blocks=10_000)
        c = recorder.requests()
        return float((c["finish_s"] - c["arrival_s"]).mean())

    noisy = {"predictor": "noisy", "predictor_options": {"sigma": 2.0}}
    remaining = mean(lambda: ShortestRemainingFirst(rng=rng()))
    shortest = mean(lambda: ShortestJobFirst(rng=rng()))
    guessed = mean(lambda: ShortestJobFirst(rng=rng(), **noisy))  # type: ignore[arg-type]
    assert remaining < shortest < guessed < mean(None)


@pytest.mark.parametrize("ageing_s", [0.0, 0.05])
def test_ageing_bounds_who_may_overtake(ageing_s: float) -> None:
    """Under a steady overload of the better class, one request of the worse waits for the end without ageing only."""
    count = 400
    arrivals = [0.0, 0.001, *(0.002 + 0.008 * i for i in range(count))]
    source = rows(arrivals, [4] * len(arrivals), [10] * len(arrivals), priorities=[0, 1] + [0] * count)
    _, recorder = serve(
        source, timer=FixedTimer(STEP), discipline=lambda: Priority(ageing_s=ageing_s), max_num_seqs=1, blocks=10_000
    )
    c = recorder.requests()
    before = int((c["finish_s"] < c["finish_s"][1]).sum())
    if ageing_s:
        overtakers = sum(a < arrivals[1] + ageing_s for a in arrivals) - 1
        assert before <= overtakers
    else:
        assert before == count + 1
