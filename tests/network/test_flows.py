"""Flows over shared links: hand-made cases, and bytes that are kept on every link."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.engine.network.flows import Completion, Flow, Phase, Program, complete, placed
from simulator.policies.paths import Ecmp, PathPolicy, Spraying
from tests.network.builders import network

DEVICES = 12
edges = st.tuples(st.integers(0, DEVICES - 1), st.integers(0, DEVICES - 1)).filter(lambda e: e[0] != e[1])
flows = st.builds(Flow, st.lists(edges, min_size=1, max_size=3).map(tuple), st.floats(0.0, 100.0))
phases = st.builds(Phase, st.lists(flows, min_size=1, max_size=4).map(tuple), st.integers(1, 3))
programs = st.lists(st.lists(phases, max_size=3).map(tuple), min_size=1, max_size=4)


def run(given_programs: list[Program], policy: PathPolicy | None = None, per_node: int = 1) -> Completion:
    routes = network(DEVICES, per_node).routes
    return complete(given_programs, routes, placed(given_programs, routes, policy or Spraying()))


def send(source: int, target: int, size: float) -> Program:
    return (Phase((Flow(((source, target),), size),)),)


def test_one_flow_takes_its_latency_and_its_bytes() -> None:
    assert run([send(0, 1, 90.0)]).seconds == pytest.approx([2.0 + 10.0])
    assert run([send(0, 1, 80.0)], per_node=2).seconds == pytest.approx([0.5 + 1.0])


def test_two_into_one_port_share_it_until_the_shorter_ends() -> None:
    """90 and 45 bytes into 9 bytes/s: the shorter at half speed for 10 s, the longer alone for its last 45 bytes."""
    found = run([send(1, 0, 90.0), send(2, 0, 45.0)])
    assert found.seconds == pytest.approx([2.0 + 10.0 + 5.0, 2.0 + 10.0])


def test_phases_wait_for_each_other_and_for_no_one_else() -> None:
    (first,), (second,) = send(0, 1, 9.0), send(1, 2, 18.0)
    found = run([(first, second), send(3, 4, 9.0)])
    assert found.seconds == pytest.approx([2.0 + 1.0 + 2.0 + 2.0, 2.0 + 1.0])


def test_nothing_to_send_takes_only_the_hops() -> None:
    assert run([(), send(0, 1, 0.0)]).seconds == pytest.approx([0.0, 2.0])


@given(programs, st.sampled_from([Ecmp(), Spraying()]), st.sampled_from([1, 4]))
def test_every_link_carries_the_bytes_of_its_flows_and_no_more_than_it_can(
    given_programs: list[Program], policy: PathPolicy, per_node: int
) -> None:
    found = run(given_programs, policy, per_node)
    top = network(DEVICES, per_node).topology
    sent, received = np.zeros(DEVICES), np.zeros(DEVICES)
    for program in given_programs:
        for phase in program:
            for flow in phase.flows:
                for a, b in flow.edges:
                    sent[a] += flow.size
                    received[b] += flow.size
    ports = found.carried[: 4 * DEVICES].reshape(4, DEVICES)
    assert ports[0] + ports[2] == pytest.approx(sent)
    assert ports[1] + ports[3] == pytest.approx(received)
    between = found.carried[top.first_between :]
    for router in range(top.routers):
        own = top.router == router
        came = between[top.targets == router].sum() + ports[0][own].sum()
        went = between[top.sources == router].sum() + ports[1][own].sum()
        assert came == pytest.approx(went, abs=1e-9)
    assert (found.carried <= top.capacity * found.seconds.max() * (1 + 1e-6) + 1e-9).all()


@given(programs, st.floats(1.1, 8.0))
def test_sizes_and_speeds_scale_together(given_programs: list[Program], factor: float) -> None:
    """Without latency, so many times the bytes take so many times as long."""
    wide = [tuple(Phase(p.flows, 0) for p in program) for program in given_programs]
    big = [tuple(Phase(tuple(Flow(f.edges, f.size * factor) for f in p.flows), 0) for p in program) for program in wide]
    assert run(big).seconds == pytest.approx(run(wide).seconds * factor, rel=1e-6)
