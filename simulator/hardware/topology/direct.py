"""Networks without a tree of switches: tori, dragonflies, and a full mesh of measured links."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from math import ceil, prod

import numpy as np

from simulator.errors import InputError
from simulator.hardware.fabric import Fabric
from simulator.hardware.topology.graph import Topology, both_ways, port_rate, wired


def torus(devices: int, fabric: Fabric, *, sides: Sequence[int]) -> Topology:
    """Devices on a grid that closes on itself, each a router of its own (TPU v4: Jouppi et al., ISCA 2023).

    The links are those that join a node's devices. A device's bandwidth is shared evenly by its links, two a dimension
    (one where a side is 2).
    """
    fabric = replace(fabric, between=fabric.inside, devices_per_node=1)
    if prod(sides) != devices:
        raise InputError(f"a torus of {' x '.join(map(str, sides))} has {prod(sides)} devices, not {devices}")
    places = np.array(list(product(*(range(s) for s in sides))), np.int64)
    weights = np.array([prod(sides[i + 1 :]) for i in range(len(sides))], np.int64)
    steps = [(axis, way) for axis, side in enumerate(sides) for way in (1, -1) if side > 2 or (side == 2 and way == 1)]
    each = port_rate(fabric) / max(len(steps), 1)
    links = []
    for axis, way in steps:
        moved = places.copy()
        moved[:, axis] = (moved[:, axis] + way) % sides[axis]
        links += [(source, int(target), each) for source, target in enumerate(moved @ weights)]
    return wired("torus", devices, fabric, np.arange(devices), devices, links, ported=False)


def dragonfly(
    devices: int,
    fabric: Fabric,
    *,
    devices_per_router: int = 16,
    routers_per_group: int = 16,
    global_links: int = 1,
    taper: float = 1.0,
) -> Topology:
    """Groups of fully joined routers, every two groups joined by `global_links` cables (Kim et al., ISCA 2008).

    A router's links in its group carry together what its devices send; a group's links to the others carry what all
    its devices send, divided by `taper`. Paths are the shortest: one global hop.
    """
    routers = ceil(devices / devices_per_router)
    groups = ceil(routers / routers_per_group)
    routers = groups * routers_per_group
    injected = devices_per_router * port_rate(fabric)
    local = injected / max(routers_per_group - 1, 1)
    cables = [
        (g * routers_per_group + a, g * routers_per_group + b, local)
        for g in range(groups)
        for a in range(routers_per_group)
        for b in range(a + 1, routers_per_group)
    ]
    across = injected * routers_per_group / taper / max(groups - 1, 1) / global_links
    for a in range(groups):
        for b in range(a + 1, groups):
            for i in range(global_links):
                near, far = (b - 1) * global_links + i, a * global_links + i
                cables.append(
                    (
                        a * routers_per_group + near % routers_per_group,
                        b * routers_per_group + far % routers_per_group,
                        across,
                    )
                )
    router = np.arange(devices) // devices_per_router
    return wired("dragonfly", devices, fabric, router, routers, both_ways(cables))


def pairwise(
    devices: int, fabric: Fabric, *, rates: Sequence[Sequence[float]], delays: Sequence[Sequence[float]] | None = None
) -> Topology:
    """Nodes that each reach every other over a link of its own, whose two ways may differ.

    `rates[a][b]` is what arrives at node b from node a in bytes/s, shared by a node's devices; `delays` in seconds.
    """
    nodes = ceil(devices / fabric.devices_per_node)
    matrix = np.asarray(rates, np.float64)
    if matrix.shape != (nodes, nodes):
        raise InputError(
            f"rates of links between nodes have shape {matrix.shape}, and there are {nodes} nodes: "
            f"give {nodes} rows of {nodes}"
        )
    off = ~np.eye(nodes, dtype=bool)
    if not (np.isfinite(matrix[off]) & (matrix[off] > 0)).all():
        raise InputError("rates of links between nodes must be above 0 and finite")
    if delays is not None and np.shape(delays) != matrix.shape:
        raise InputError(f"delays of links between nodes: give {nodes} rows of {nodes}, as of rates")
    pairs = [(a, b) for a in range(nodes) for b in range(nodes) if a != b]
    late = None if delays is None else [float(delays[a][b]) for a, b in pairs]
    links = [(a, b, float(matrix[a, b])) for a, b in pairs]
    router = np.arange(devices) // fabric.devices_per_node
    return wired("pairwise", devices, fabric, router, nodes, links, delays=late, ported=False)


def attained(devices: int, fabric: Fabric, *, spread: float, seed: int = 0) -> Topology:
    """Nodes whose links to each other reach shares of the nodes' speed of their own, in both ways alike.

    The share is exp(-|x|) of a normal x with standard deviation `spread`, drawn by the seed: real clusters differ by
    link, some much (Pipette, arXiv:2405.18093, figure 3).
    """
    nodes = ceil(devices / fabric.devices_per_node)
    drawn = np.random.default_rng([seed, nodes]).normal(0.0, spread, (nodes, nodes))
    upper = np.triu(np.exp(-np.abs(drawn)), 1)
    rates = fabric.devices_per_node * port_rate(fabric) * (upper + upper.T)
    found = pairwise(devices, fabric, rates=rates.tolist())
    return replace(found, name="attained", ported=True)
