"""Collectives as flows on an idle network with full bisection take what the closed forms say."""

from __future__ import annotations

from collections import Counter
from math import ceil, log2

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.engine.network import collectives
from simulator.engine.network.flows import Program, complete, placed
from simulator.errors import InputError
from simulator.hardware.collectives import collective_seconds, ring_all_reduce, tree_all_reduce
from simulator.policies.paths import MinimalSplitting, PathPolicy, Spraying
from simulator.workloads.operators import Collective
from tests.network.builders import BETWEEN, network

PATTERNS = ("all_reduce", "all_gather", "reduce_scatter", "all_to_all", "send_recv")


@pytest.mark.parametrize("policy", [Spraying(), MinimalSplitting()], ids=["spraying", "splitting"])
@pytest.mark.parametrize("per_node", [1, 4])
@pytest.mark.parametrize("pattern", PATTERNS)
@settings(max_examples=20)
@given(message=st.floats(1.0, 1e5), groups=st.sampled_from([1, 2, 4]))
def test_closed_forms_hold_on_an_idle_network(
    pattern: str, per_node: int, policy: PathPolicy, message: float, groups: int
) -> None:
    """For one group that fills the network and for several that fill it together.

    What an all-to-all sends inside a node does not leave it, which the closed form leaves out.
    """
    world = 2 if pattern == "send_recv" else 16 // groups
    found = network(16, per_node, policy)
    op = Collective(pattern, message, world, 4 if pattern == "send_recv" else groups)
    expected = collective_seconds(op, found.topology.fabric)
    if pattern == "all_to_all":
        local = max(1, per_node // groups)
        expected = BETWEEN.latency + (world - local) / world * message / 9.0
    if not found.inside(op):
        assert found.seconds(op) == pytest.approx(float(np.asarray(expected)), rel=1e-6)


@pytest.mark.parametrize("world", [4, 8, 12, 16, 32])
def test_each_algorithm_alone(world: int) -> None:
    net = network(world)
    ranks = range(world)

    def seconds(program: Program) -> float:
        return float(complete([program], net.routes, placed([program], net.routes, net.policy)).seconds[0])

    assert seconds(collectives.ring_all_reduce(ranks, 900.0)) == pytest.approx(ring_all_reduce(900.0, world, BETWEEN))
    assert seconds(collectives.tree_all_reduce(ranks, 900.0)) == pytest.approx(tree_all_reduce(900.0, world, BETWEEN))
    inside = collectives.in_network_all_reduce(ranks, 900.0, net.topology.router.tolist())
    assert seconds(inside) == pytest.approx(2 * 2.0 + 100.0)
    if world & (world - 1) == 0:
        hops = 2 * log2(world)
        halving = collectives.halving_doubling_all_reduce(ranks, 900.0)
        assert seconds(halving) == pytest.approx(hops * 2.0 + 2 * (world - 1) / world * 100.0)


@given(st.integers(2, 200))
def test_two_trees_span_all_ranks_and_share_the_inner_work(world: int) -> None:
    """Each tree joins all ranks to one root in few levels, with two children at most; none has children in both."""
    ((phase,),) = [collectives.tree_all_reduce(range(world), 2.0)]
    inner = []
    for flow in phase.flows:
        up = flow.edges[::2]
        assert flow.edges[1::2] == tuple((b, a) for a, b in up)
        parent = dict(up)
        assert len(parent) == len(up) == world - 1
        children = Counter(parent.values())
        assert max(children.values()) <= 2
        inner.append(set(children))
        for rank in range(world):
            at, levels = rank, 0
            while at in parent:
                at, levels = parent[at], levels + 1
            assert levels <= ceil(log2(world + 1))
    assert not inner[0] & inner[1]


def test_halving_needs_a_power_of_two_and_nodes_equal_shares() -> None:
    with pytest.raises(InputError, match=r"power of two ranks, not 6: take ring, tree or fastest"):
        collectives.halving_doubling_all_reduce(range(6), 1.0)
    with pytest.raises(ValueError, match="equally many"):
        collectives.hierarchical_all_reduce([0, 1, 2], 1.0, lambda r: r // 2, collectives.ring_all_reduce)


def test_oversubscription_slows_in_proportion_where_groups_cross_leaves() -> None:
    """Rings of one device a leaf put all traffic on the uplinks, so that a third of them takes three times as long."""
    op = Collective("all_gather", 1e6, 4, 4)
    plain, narrow = (network(16, topology={"oversubscription": o}).seconds(op) for o in (1.0, 3.0))
    assert narrow - 3 * 2.0 == pytest.approx(3 * (plain - 3 * 2.0))


def test_a_torus_uses_its_axis_both_ways() -> None:
    """A ring of 16 on a torus of one axis: half of the message each way over links of half a device's bandwidth."""
    net = network(16, topology={"kind": "torus", "sides": [16]})
    assert net.seconds(Collective("all_reduce", 1600.0, 16)) == pytest.approx(30 * 0.5 + 30 / 16 * 800.0 / 40.0)
