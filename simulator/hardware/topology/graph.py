"""A network as plain arrays: devices with a port each, routers, and one-way links between routers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from simulator.hardware.fabric import Fabric

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Topology:
    """`devices` devices in nodes of `per_node`, each with ports into its node and into the network.

    `router` gives the router that each device's network port leads to, shape (devices,); a device in a torus is its
    own. Links between routers are one-way: from `sources` to `targets`, at `capacities` bytes/s that arrive, with
    `delays` in seconds, each of shape (links,). Equal entries are parallel links. `fabric` gives the ports' own speed
    and latency; a topology that is not `ported` has none of its own, and its devices send on the routers' links.

    Every link has one index: ports out to the network, in from it, out to the node, in from it, by device, and then
    the links between routers.
    """

    name: str
    devices: int
    fabric: Fabric
    router: Indices
    routers: int
    sources: Indices
    targets: Indices
    capacities: Floats
    delays: Floats
    ported: bool = True

    @property
    def per_node(self) -> int:
        return self.fabric.devices_per_node

    @cached_property
    def capacity(self) -> Floats:
        """Bytes/s of every link by its index."""
        inside, between = self.fabric.inside, self.fabric.between
        port = between.bandwidth * between.efficiency if self.ported else np.inf
        own = inside.bandwidth * inside.efficiency
        ports = np.repeat([port, port, own, own], self.devices)
        return np.concatenate([ports, self.capacities])

    def out(self, device: int, *, inside: bool = False) -> int:
        """Index of a device's outgoing port."""
        return device + (2 if inside else 0) * self.devices

    def into(self, device: int, *, inside: bool = False) -> int:
        """Index of a device's incoming port."""
        return device + (3 if inside else 1) * self.devices

    @property
    def first_between(self) -> int:
        """Index of the first link between routers."""
        return 4 * self.devices

    def node(self, device: int) -> int:
        """The node that holds a device."""
        return device // self.per_node


def wired(
    name: str,
    devices: int,
    fabric: Fabric,
    router: Sequence[int] | Indices,
    routers: int,
    links: Sequence[tuple[int, int, float]],
    *,
    delays: Sequence[float] | None = None,
    ported: bool = True,
) -> Topology:
    """A topology from its links as (source, target, bytes/s that arrive), without delays of their own unless given."""
    return Topology(
        name,
        devices,
        fabric,
        np.asarray(router, np.int64),
        routers,
        np.array([a for a, _, _ in links], np.int64),
        np.array([b for _, b, _ in links], np.int64),
        np.array([c for _, _, c in links], np.float64),
        np.zeros(len(links)) if delays is None else np.asarray(delays, np.float64),
        ported,
    )


def both_ways(pairs: Sequence[tuple[int, int, float]]) -> list[tuple[int, int, float]]:
    """Each cable as two one-way links."""
    return [link for a, b, c in pairs for link in ((a, b, c), (b, a, c))]


def port_rate(fabric: Fabric) -> float:
    """Bytes/s that reach a device through its network port."""
    return fabric.between.bandwidth * fabric.between.efficiency
