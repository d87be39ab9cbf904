"""Fair rates meet the definition of max-min fairness, which is not how they are found."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.sparse import csr_array

from simulator.hardware.fair_sharing import max_min_rates

Floats = NDArray[np.float64]


@st.composite
def problems(draw: st.DrawFn) -> tuple[Floats, Floats]:
    """Usage of up to 6 links by up to 8 flows, each on at least one link, and capacities."""
    flows, links = draw(st.integers(1, 8)), draw(st.integers(1, 6))
    units = st.sampled_from([0.0, 0.0, 1.0, 1.0, 0.5, 2.0])
    usage = np.array([[draw(units) for _ in range(links)] for _ in range(flows)])
    for row in usage:
        if not row.any():
            row[draw(st.integers(0, links - 1))] = 1.0
    return usage, np.array([draw(st.floats(0.1, 100.0)) for _ in range(links)])


@given(problems())
def test_no_flow_can_grow_but_at_the_cost_of_one_that_has_no_more(problem: tuple[Floats, Floats]) -> None:
    """No link is over-full, and every flow crosses a full link on which none has more than it (its bottleneck)."""
    usage, capacity = problem
    rates = max_min_rates(csr_array(usage), capacity)
    load = usage.T @ rates
    assert (load <= capacity * (1 + 1e-6)).all()
    full = load >= capacity * (1 - 1e-6)
    for flow, rate in enumerate(rates):
        bottlenecks = [link for link in np.flatnonzero(usage[flow]) if full[link]]
        assert any((rates[usage[:, link] > 0] <= rate * (1 + 1e-6)).all() for link in bottlenecks)


@given(problems(), st.floats(1.0, 10.0))
def test_more_capacity_never_slows_the_slowest(problem: tuple[Floats, Floats], factor: float) -> None:
    """Of one link it may cost a flow elsewhere, but not the one with least; of all links it speeds up all."""
    usage, capacity = problem
    before = max_min_rates(csr_array(usage), capacity)
    wider = capacity.copy()
    wider[0] *= factor
    assert max_min_rates(csr_array(usage), wider).min() >= before.min() * (1 - 1e-6)
    assert max_min_rates(csr_array(usage), capacity * factor) == pytest.approx(before * factor, rel=1e-6)


def test_a_parking_lot_is_shared_as_in_the_textbook() -> None:
    """Bertsekas and Gallager, figure 6.16's kind: a long flow over two links, one short on each."""
    usage = np.array([[1.0, 1.0], [1.0, 0.0], [0.0, 1.0]])
    rates = max_min_rates(csr_array(usage), np.array([1.0, 3.0]))
    assert rates == pytest.approx([0.5, 0.5, 2.5])


def test_a_flow_without_links_has_no_bound_and_no_capacity_is_refused() -> None:
    assert np.isinf(max_min_rates(csr_array(np.zeros((1, 2))), np.ones(2))).all()
    with pytest.raises(ValueError, match="above 0"):
        max_min_rates(csr_array(np.ones((1, 1))), np.zeros(1))
