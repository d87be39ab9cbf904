"""Path policies: collisions by chance, and loads that balance without them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from math import gcd

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from simulator.errors import InputError
from simulator.hardware.topology import Routes, build_topology
from simulator.policies.paths import Demand, Ecmp, MinimalSplitting, PathPolicy, Planned, Share, Spraying
from simulator.policies.paths.splitting import split
from simulator.policies.registry import build_policy
from tests.network.builders import fabric, network

POLICIES = (Ecmp(), Spraying(), Planned(), MinimalSplitting())
pairs = st.tuples(st.integers(0, 15), st.integers(0, 15)).filter(lambda p: p[0] != p[1])


def loads(policy: PathPolicy, demands: Sequence[Demand], routes: Routes) -> NDArray[np.float64]:
    """Bytes on every link."""
    found = np.zeros(routes.capacity.size)
    for demand, shares in zip(demands, policy.choose(demands, routes), strict=True):
        for number, share in shares:
            found[list(routes.links(demand.source, demand.target, number))] += share * demand.size
    return found


def leaves(spines: int) -> Routes:
    values = {"kind": "leaf-spine", "devices_per_leaf": 4, "spines": spines}
    return Routes(build_topology(values, 16, fabric()))


@given(st.lists(pairs, max_size=20), st.sampled_from(POLICIES), st.integers(1, 5))
def test_shares_add_up_to_one_on_paths_that_exist(ends: list[tuple[int, int]], policy: PathPolicy, spines: int) -> None:
    routes = leaves(spines)
    demands = [Demand(a, b, 1.0 + a) for a, b in ends]
    chosen = policy.choose(demands, routes)
    assert len(chosen) == len(demands)
    for demand, shares in zip(demands, chosen, strict=True):
        assert sum(s.share for s in shares) == pytest.approx(1.0)
        assert all(0 <= s.path < routes.count(demand.source, demand.target) for s in shares)


@given(st.integers(0, 60), st.integers(1, 12))
def test_minimal_splitting_is_even_and_splits_only_what_remains(flows: int, paths: int) -> None:
    shares = split(flows, paths)
    on_path = Counter[int]()
    for share in (s for flow in shares for s in flow):
        on_path[share.path] += share.share  # type: ignore[assignment]
    assert [on_path[p] for p in range(paths)] == pytest.approx([flows / paths] * paths)
    rest = flows % paths
    assert sum(len(f) for f in shares) == flows - rest + (rest * paths // gcd(rest, paths) if rest else 0)


@given(st.lists(pairs, min_size=1, max_size=40), st.integers(1, 5))
def test_single_paths_with_splitting_load_every_link_as_spraying_does(ends: list[tuple[int, int]], spines: int) -> None:
    """The theorem of arXiv:2407.00550 for flows of one size."""
    routes = leaves(spines)
    demands = [Demand(a, b, 60.0) for a, b in ends]
    assert loads(MinimalSplitting(), demands, routes) == pytest.approx(loads(Spraying(), demands, routes))


def test_hashed_flows_collide_as_balls_in_bins() -> None:
    """The mean number of paths that n flows leave empty is s (1 - 1/s)^n; a flow keeps its path."""
    routes = leaves(4)
    demands = [Demand(a, 4 + a, 1.0) for a in range(4)]
    empty = []
    for seed in range(400):
        used = {shares[0].path for shares in Ecmp(seed).choose(demands, routes)}
        empty.append(4 - len(used))
    assert np.mean(empty) == pytest.approx(4 * (3 / 4) ** 4, abs=0.1)
    assert Ecmp(7).choose(demands, routes) == Ecmp(7).choose(demands[::-1], routes)[::-1]


def test_more_connections_spread_a_hashed_flow() -> None:
    routes = leaves(4)
    (shares,) = Ecmp(connections=64).choose([Demand(0, 4, 1.0)], routes)
    by_path = Counter(s.path for s in shares)
    assert len(by_path) == 4
    assert max(by_path.values()) < 32


def test_planning_finds_the_placement_without_collisions() -> None:
    """Four flows out of a leaf over four spines: one each, where hashing puts two on one link for most seeds."""
    routes = leaves(4)
    demands = [Demand(a, 4 + a, 1.0) for a in range(4)]
    assert loads(Planned(), demands, routes)[routes.topology.first_between :].max() == 1.0
    worst = [loads(Ecmp(s), demands, routes)[routes.topology.first_between :].max() for s in range(50)]
    assert np.mean(np.array(worst) > 1.0) > 0.8


def test_planning_places_the_largest_first() -> None:
    """Sizes 1, 1, 2 over two paths: the large one has a path of its own, in whatever order they come."""
    routes = leaves(2)
    demands = [Demand(0, 4, 1.0), Demand(1, 5, 1.0), Demand(2, 6, 2.0)]
    (small,), (other,), (large,) = Planned().choose(demands, routes)
    assert small == other
    assert large.path != small.path


def test_a_sprayed_flow_looks_at_no_more_paths_than_asked() -> None:
    assert Spraying(2).choose([Demand(0, 4, 1.0)], leaves(4)) == [(Share(0, 0.5), Share(2, 0.5))]


def test_collisions_cost_time_that_planning_wins_back() -> None:
    """A full-bisection network: hashed rings over leaves take longer, planned and split ones the ideal time."""
    from simulator.workloads.operators import Collective

    op = Collective("all_reduce", 1e6, 8, 8)
    wide = {"devices_per_leaf": 8, "spines": 8}
    times = {type(p).__name__: network(64, policy=p, topology=wide).seconds(op) for p in POLICIES}
    ideal = times["Spraying"]
    assert times["Planned"] == pytest.approx(ideal)
    assert times["MinimalSplitting"] == pytest.approx(ideal)
    assert times["Ecmp"] > 1.5 * ideal


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("ecmp", {"connections": 0}, "at least 1"),
        ("spraying", {"most": 0}, "at least 1"),
        ("planned", {"candidates": 0}, "at least 1"),
        ("planed", {}, "did you mean planned"),
    ],
)
def test_bad_options_are_named(name: str, options: dict[str, int], message: str) -> None:
    with pytest.raises(InputError, match=message):
        build_policy("paths", name, options)
