"""Switched networks of two and three levels: leaf and spine, fat tree, rails.

Fat tree: Leiserson, 1985; Al-Fares, Loukissas and Vahdat, SIGCOMM 2008. Rails: NVIDIA DGX SuperPOD reference
architecture (device i of every node on leaf i of its group); Wang et al., "Rail-only", arXiv:2307.12169.
"""

from __future__ import annotations

from math import ceil

import numpy as np

from simulator.hardware.fabric import Fabric
from simulator.hardware.topology.graph import Indices, Topology, both_ways, port_rate, wired


def leaf_spine(
    devices: int, fabric: Fabric, *, devices_per_leaf: int = 32, spines: int = 16, oversubscription: float = 1.0
) -> Topology:
    """Leaves of neighbouring devices, each joined to every spine.

    A leaf's uplinks carry together what its devices send, divided by `oversubscription`.
    """
    router = np.arange(devices) // devices_per_leaf
    return _two_levels("leaf-spine", devices, fabric, router, devices_per_leaf, spines, oversubscription)


def rail_optimised(
    devices: int, fabric: Fabric, *, nodes_per_group: int = 32, spines: int = 16, oversubscription: float = 1.0
) -> Topology:
    """As `leaf_spine`, but device i of every node of a group is on the group's leaf i (its rail)."""
    index = np.arange(devices)
    node, rail = index // fabric.devices_per_node, index % fabric.devices_per_node
    router = node // nodes_per_group * fabric.devices_per_node + rail
    return _two_levels("rail-optimised", devices, fabric, router, nodes_per_group, spines, oversubscription)


def _two_levels(
    name: str, devices: int, fabric: Fabric, router: Indices, per_leaf: int, spines: int, oversubscription: float
) -> Topology:
    leaves = int(router.max()) + 1
    each = per_leaf * port_rate(fabric) / oversubscription / spines
    cables = [(leaf, leaves + spine, each) for leaf in range(leaves) for spine in range(spines)]
    return wired(name, devices, fabric, router, leaves + spines, both_ways(cables))


def fat_tree(
    devices: int,
    fabric: Fabric,
    *,
    devices_per_leaf: int = 32,
    leaves_per_pod: int = 4,
    aggregations: int = 4,
    cores: int = 4,
    oversubscription: float = 1.0,
    core_oversubscription: float = 1.0,
) -> Topology:
    """Three levels: leaves and `aggregations` of a pod are fully joined, and aggregation i of each pod to core group i.

    A group has `cores` switches. `oversubscription` is at the leaves, `core_oversubscription` at the aggregations.
    """
    leaves = ceil(devices / devices_per_leaf)
    pods = ceil(leaves / leaves_per_pod)
    up = devices_per_leaf * port_rate(fabric) / oversubscription / aggregations
    over = up * leaves_per_pod / core_oversubscription / cores
    first_core = leaves + pods * aggregations
    cables = [
        (leaf, leaves + leaf // leaves_per_pod * aggregations + a, up)
        for leaf in range(leaves)
        for a in range(aggregations)
    ]
    cables += [
        (leaves + pod * aggregations + a, first_core + a * cores + c, over)
        for pod in range(pods)
        for a in range(aggregations)
        for c in range(cores)
    ]
    router = np.arange(devices) // devices_per_leaf
    return wired("fat-tree", devices, fabric, router, first_core + aggregations * cores, both_ways(cables))
