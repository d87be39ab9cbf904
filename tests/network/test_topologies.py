"""Topologies against their definitions: path counts, diameters, bisections; and bad input."""

from __future__ import annotations

from itertools import product
from math import comb, factorial, prod
from typing import Any

import numpy as np
import pytest

from simulator.errors import InputError
from simulator.hardware.topology import Routes, Topology, build_topology
from tests.network.builders import fabric

LEAF = {"kind": "leaf-spine", "devices_per_leaf": 4, "spines": 3}


def hops(routes: Routes, source: int, target: int) -> int:
    """Links between routers on a path."""
    return len(routes.links(source, target, 0)) - 2


def test_leaf_spine_has_a_path_a_spine() -> None:
    routes = Routes(build_topology(LEAF, 16, fabric()))
    assert routes.count(0, 1) == 1
    assert hops(routes, 0, 1) == 0
    assert routes.count(0, 4) == 3
    assert len({routes.links(0, 4, i) for i in range(3)}) == 3
    assert hops(routes, 0, 15) == 2


@pytest.mark.parametrize("over", [1.0, 3.0])
def test_uplinks_carry_what_devices_send_less_oversubscription(over: float) -> None:
    top = build_topology(LEAF | {"oversubscription": over}, 16, fabric())
    up = top.capacities[top.sources < 4].sum()
    assert up * over == pytest.approx(16 * 9.0)


def test_fat_tree_paths_multiply_over_its_levels() -> None:
    values = {
        "kind": "fat-tree", "devices_per_leaf": 2, "leaves_per_pod": 2, "aggregations": 3, "cores": 2,
        "core_oversubscription": 2.0,
    }  # fmt: skip
    top = build_topology(values, 16, fabric())
    routes = Routes(top)
    assert [routes.count(0, d) for d in (1, 2, 4)] == [1, 3, 6]
    assert [hops(routes, 0, d) for d in (1, 2, 4)] == [0, 2, 4]
    cores = top.targets >= 8 + 4 * 3
    assert top.capacities[cores].sum() == pytest.approx(16 * 9.0 / 2.0)


def test_rails_join_the_same_device_of_each_node() -> None:
    top = build_topology({"kind": "rail-optimised", "nodes_per_group": 4, "spines": 2}, 32, fabric(4))
    routes = Routes(top)
    assert hops(routes, 0, 4) == 0
    assert hops(routes, 0, 5) == 2
    assert hops(routes, 0, 16) == 2
    assert routes.links(0, 1, 0) == (top.out(0, inside=True), top.into(1, inside=True))


@pytest.mark.parametrize("sides", [(4, 4), (3, 4, 2), (5,)])
def test_torus_paths_are_all_orders_of_the_steps(sides: tuple[int, ...]) -> None:
    """Distance by dimension is the shorter way round; paths are the orders of steps, twice where ways tie."""
    devices = prod(sides)
    routes = Routes(build_topology({"kind": "torus", "sides": list(sides)}, devices, fabric()))
    for target, place in enumerate(product(*(range(s) for s in sides))):
        if target == 0:
            continue
        steps = [min(p, s - p) for p, s in zip(place, sides, strict=True)]
        ties = sum(2 * p == s and s > 2 for p, s in zip(place, sides, strict=True))
        orders = factorial(sum(steps)) // prod(factorial(n) for n in steps)
        assert hops(routes, 0, target) == sum(steps)
        assert routes.count(0, target) == orders * 2**ties


def test_torus_bisection() -> None:
    """A 4 x 4 torus cut in half is crossed by two rows of 4 links each way; a device shares 80 bytes/s by four."""
    top = build_topology({"kind": "torus", "sides": [4, 4]}, 16, fabric())
    across = top.capacities[(top.sources < 8) & (top.targets >= 8)]
    assert across.size == 8
    assert across.sum() == pytest.approx(8 * 80.0 / 4)


def test_dragonfly_has_one_global_hop_and_a_diameter_of_three() -> None:
    values = {"kind": "dragonfly", "devices_per_router": 2, "routers_per_group": 4, "taper": 2.0}
    top = build_topology(values, 40, fabric())
    routes = Routes(top)
    assert max(hops(routes, 0, d) for d in range(40)) == 3
    group = np.arange(top.routers) // 4
    crossing = top.capacities[group[top.sources] != group[top.targets]]
    assert crossing.size == 2 * comb(5, 2)
    assert crossing.sum() == pytest.approx(40 * 9.0 / 2.0)


def test_pairwise_links_are_those_given_each_way() -> None:
    rates = [[0, 1.0, 2.0], [3.0, 0, 4.0], [5.0, 6.0, 0]]
    top = build_topology({"kind": "pairwise", "rates": rates}, 6, fabric(2))
    routes = Routes(top)
    for a, b in ((0, 2), (2, 0), (4, 2)):
        assert routes.count(a, b) == 1
        (between,) = routes.links(a, b, 0)[1:-1]
        assert top.capacity[between] == rates[a // 2][b // 2]


def test_wide_area_delays_count_to_the_latency() -> None:
    values = {"kind": "wide-area", "gbit_per_s": 1.0, "round_trip_ms": [[0, 40], [60, 0]]}
    routes = Routes(build_topology(values, 2, fabric()))
    assert routes.latency(0, 1) == pytest.approx(2.0 + 0.020)
    assert routes.latency(1, 0) == pytest.approx(2.0 + 0.030)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"kind": "leaf-spin"}, "did you mean leaf-spine"),
        ({"spines": 2}, "unknown topology 'None'"),
        ({"kind": "leaf-spine", "spine": 2}, "did you mean spines"),
        ({"kind": "leaf-spine", "spines": 0}, "at least 1"),
        ({"kind": "leaf-spine", "spines": 2.5}, "whole number"),
        ({"kind": "leaf-spine", "oversubscription": -1.0}, "above 0"),
        ({"kind": "leaf-spine", "oversubscription": "two"}, "give a number"),
        ({"kind": "torus"}, "needs sides"),
        ({"kind": "torus", "sides": [3, 3]}, "has 9 devices, not 16"),
        ({"kind": "torus", "sides": 16}, "list of whole numbers"),
        ({"kind": "pairwise", "rates": [[0, 1], [1, 0]]}, "16 nodes"),
        ({"kind": "pairwise", "rates": [[1, 2], ["a"]]}, "rates of topology pairwise: give rows of numbers"),
        ({"kind": "pairwise", "rates": [[1.0] * 16] * 16, "delays": [[1]]}, "delays of links between nodes: give 16"),
        ({"kind": "pairwise", "rates": [[1.0] * 16] * 16, "delays": 0.1}, "delays of links between nodes: give 16"),
        ({"kind": "attained", "spread": [1, 2]}, "spread of topology attained is .*: give a number"),
        ({"kind": "attained", "spread": 1.0, "seed": -1}, "seed of topology attained is -1"),
        ({"kind": "wide-area", "gbit_per_s": [1] * 16, "round_trip_ms": 5}, "16 rows"),
        ({"kind": "wide-area", "gbit_per_s": [1, 2], "round_trip_ms": 5}, "16 rows"),
        ({"kind": "wide-area", "gbit_per_s": 1, "round_trip_ms": 5, "loss": 1.0}, "loss"),
    ],
)
def test_bad_topologies_are_named(values: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        build_topology(values, 16, fabric())


def test_a_network_in_two_parts_is_refused() -> None:
    top = build_topology(LEAF, 8, fabric())
    cut = Topology(
        top.name, top.devices, top.fabric, top.router, top.routers,
        top.sources[:3], top.targets[:3], top.capacities[:3], top.delays[:3],
    )  # fmt: skip
    with pytest.raises(InputError, match="no path"):
        Routes(cut).count(0, 4)
