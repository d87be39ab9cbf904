"""Placement of nodes: what it costs by hand, and that search finds what all orders hold."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import numpy as np
import pytest

from simulator.engine.network.placing import Traffic, improved_placement, placement_seconds, traffic_of
from simulator.engine.streams import stream
from simulator.errors import InputError
from simulator.hardware.topology import Routes, build_topology
from simulator.hardware.topology.routes import node_links
from simulator.workloads.operators import Collective
from tests.network.builders import fabric, network
from tests.network.test_training_network import step


def ring(count: int, size: float = 100.0) -> Traffic:
    places = np.arange(count)
    return Traffic(places, np.roll(places, -1), np.full(count, size))


def test_a_ring_costs_its_slowest_link() -> None:
    rates = np.full((3, 3), 10.0)
    rates[1, 2] = 2.0
    assert placement_seconds([0, 1, 2], rates, [ring(3)]) == pytest.approx(50.0)
    assert placement_seconds([0, 2, 1], rates, [ring(3)]) == pytest.approx(10.0)
    assert placement_seconds([0, 1, 2], rates, []) == 0.0


def test_traffic_of_a_ring_over_nodes_is_what_crosses_them() -> None:
    """Four nodes of two devices, two rings of one device a node: 2 x 1.5 of the message over each link, one way."""
    net = network(8, 2, topology={"kind": "pairwise", "rates": np.full((4, 4), 10.0).tolist()}, all_reduce="ring")
    found = traffic_of(Collective("all_reduce", 100.0, 4, 2), net)
    assert sorted(zip(found.sources.tolist(), found.targets.tolist(), strict=True)) == [(0, 1), (1, 2), (2, 3), (3, 0)]
    assert found.sizes == pytest.approx([2 * 150.0] * 4)


def test_search_finds_the_best_order_of_a_few_nodes() -> None:
    rates = np.random.default_rng(5).uniform(1.0, 100.0, (6, 6))
    traffic = [ring(6), Traffic(np.array([0, 1]), np.array([3, 4]), np.array([50.0, 50.0]), 4.0)]
    best = min(placement_seconds(order, rates, traffic) for order in permutations(range(6)))
    found = improved_placement(range(6), rates, traffic, swaps=3000, rng=stream(0, "test"))
    assert sorted(found) == list(range(6))
    assert placement_seconds(found, rates, traffic) <= 1.1 * best
    assert placement_seconds(found, rates, traffic) < placement_seconds(range(6), rates, traffic)


def test_links_of_nodes_are_those_of_the_topology() -> None:
    values = {"kind": "wide-area", "gbit_per_s": [[0, 8], [16, 0]], "round_trip_ms": 40.0, "site_gbit_per_s": 12.0}
    rates, delays = node_links(Routes(build_topology(values, 2, fabric())))
    assert rates[0, 1] == pytest.approx(1e9)
    assert rates[1, 0] == pytest.approx(1.5e9)
    assert delays[0, 1] == delays[1, 0] == pytest.approx(0.020)
    several = Routes(build_topology({"kind": "leaf-spine", "devices_per_leaf": 1, "spines": 2}, 2, fabric()))
    with pytest.raises(InputError, match="several ways"):
        node_links(several)


def test_attained_links_fall_short_of_the_ports_by_their_seed() -> None:
    values = {"kind": "attained", "spread": 0.5, "seed": 4}
    top = build_topology(values, 16, fabric(2))
    assert (top.capacities <= 2 * 9.0).all()
    assert np.ptp(top.capacities) > 0
    assert (build_topology(values, 16, fabric(2)).capacities == top.capacities).all()
    rates, _ = node_links(Routes(top))
    assert (rates == rates.T).all()


ATTAINED: dict[str, Any] = {"topology": {"kind": "attained", "spread": 0.6, "seed": 1}}


def test_swaps_make_a_step_faster_and_keep_every_rank() -> None:
    plain, placed = step(ATTAINED), step(ATTAINED | {"swaps": 3000})
    assert placed.end.reduce_seconds(0) < plain.end.reduce_seconds(0)
    assert placed.step_seconds < plain.step_seconds
    assert placed.network is not None
    assert sorted(placed.network.placed) == list(range(128))


def test_swaps_need_links_between_nodes() -> None:
    with pytest.raises(InputError, match="several ways"):
        step({"topology": {"kind": "leaf-spine", "devices_per_leaf": 8, "spines": 2}, "swaps": 10})
    with pytest.raises(InputError, match="by a switch"):
        step({"topology": {"kind": "leaf-spine", "devices_per_leaf": 32}, "swaps": 10})
