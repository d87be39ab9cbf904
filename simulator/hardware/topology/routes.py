"""Shortest paths through a topology, numbered, so that a policy picks a path by its number."""

from __future__ import annotations

from functools import cached_property, lru_cache
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra

from simulator.errors import InputError
from simulator.hardware.topology.graph import Topology

# Destinations whose distances are remembered, and paths between routers.
REMEMBERED = 1 << 16


class Routes:
    """All shortest paths (in links) between the devices of a topology, as tuples of its link indices."""

    def __init__(self, topology: Topology) -> None:
        self.topology = topology
        self._node = (np.arange(topology.devices) // topology.per_node).tolist()
        self._router = topology.router.tolist()
        self._hops = lru_cache(REMEMBERED)(self._distances)
        self._ways = lru_cache(REMEMBERED)(self._counted)
        self._between = lru_cache(REMEMBERED)(self._unranked)

    def count(self, source: int, target: int) -> int:
        """How many paths lead from one device to another; one inside a node."""
        if self._node[source] == self._node[target]:
            return 1
        return self._ways(self._router[source], self._router[target])

    def links(self, source: int, target: int, number: int) -> tuple[int, ...]:
        """The links of path `number` of `count`, in order."""
        top = self.topology
        if self._node[source] == self._node[target]:
            return (top.out(source, inside=True), top.into(target, inside=True))
        way = self._between(self._router[source], self._router[target], number)
        return (top.out(source), *way, top.into(target))

    @property
    def capacity(self) -> NDArray[np.float64]:
        """Bytes/s of every link."""
        return self.topology.capacity

    def ends(self, source: int, target: int) -> tuple[int, int]:
        """The routers of the two devices; between devices of one node the devices themselves."""
        if self._node[source] == self._node[target]:
            return (-1 - source, -1 - target)
        return (self._router[source], self._router[target])

    def latency(self, source: int, target: int) -> float:
        """Seconds of a small message, on the first of the paths."""
        top = self.topology
        if self._node[source] == self._node[target]:
            return top.fabric.inside.latency
        way = self._between(self._router[source], self._router[target], 0)
        return top.fabric.between.latency + sum(float(top.delays[i - top.first_between]) for i in way)

    def _distances(self, target: int) -> NDArray[np.float64]:
        """Links from each router to `target`."""
        found: NDArray[np.float64] = dijkstra(self._reversed, indices=target, unweighted=True)
        return found

    @cached_property
    def _reversed(self) -> csr_array:
        top = self.topology
        ones = np.ones(len(top.sources))
        return csr_array((ones, (top.targets, top.sources)), shape=(top.routers, top.routers))

    @cached_property
    def _leaving(self) -> list[list[tuple[int, int]]]:
        """The links that leave each router, as (link, the router it leads to)."""
        found: list[list[tuple[int, int]]] = [[] for _ in range(self.topology.routers)]
        pairs = zip(self.topology.sources.tolist(), self.topology.targets.tolist(), strict=True)
        for link, (a, b) in enumerate(pairs):
            found[a].append((link + self.topology.first_between, b))
        return found

    def _nearer(self, router: int, target: int) -> list[tuple[int, int]]:
        hops = self._hops(target)
        return [(link, to) for link, to in self._leaving[router] if hops[to] < hops[router]]

    def _counted(self, router: int, target: int) -> int:
        if router == target:
            return 1
        if not np.isfinite(self._hops(target)[router]):
            raise InputError(f"topology {self.topology.name} has no path between router {router} and {target}")
        return sum(self._ways(to, target) for _, to in self._nearer(router, target))

    def _unranked(self, router: int, target: int, number: int) -> tuple[int, ...]:
        """Path `number` in the order of the links that leave each router."""
        way = []
        while router != target:
            for link, to in self._nearer(router, target):
                ways = self._ways(to, target)
                if number < ways:
                    way.append(link)
                    router = to
                    break
                number -= ways
        return tuple(way)


def node_links(routes: Routes) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Bytes/s and delays in seconds of the way from each node to each other, both of shape (nodes, nodes).

    Raises `InputError` where there are several ways or none but ports, so that no link is two nodes' own.
    """
    top = routes.topology
    nodes = -(-top.devices // top.per_node)
    rates, delays = np.full((nodes, nodes), np.inf), np.zeros((nodes, nodes))
    for a, b in product(range(nodes), repeat=2):
        source, target = a * top.per_node, b * top.per_node
        if a == b:
            continue
        if routes.count(source, target) > 1:
            raise InputError(f"topology {top.name} has several ways between nodes: use pairwise, attained or wide-area")
        way = list(routes.links(source, target, 0)[1:-1])
        if not way:
            raise InputError(f"topology {top.name} joins nodes by a switch: use pairwise, attained or wide-area")
        rates[a, b] = top.capacity[way].min()
        delays[a, b] = routes.latency(source, target) - top.fabric.between.latency
    return rates, delays
