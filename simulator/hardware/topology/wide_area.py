"""Sites far apart, joined by long fat TCP links."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

import numpy as np

from simulator.errors import InputError
from simulator.hardware.fabric import Fabric
from simulator.hardware.long_fat import WINDOW, LongFatLink
from simulator.hardware.topology.graph import Topology, both_ways, wired

Matrix = Sequence[Sequence[float]]


def wide_area(
    devices: int,
    fabric: Fabric,
    *,
    gbit_per_s: float | Matrix,
    round_trip_ms: float | Matrix,
    loss: float | Matrix = 0.0,
    connections: int = 1,
    site_gbit_per_s: float | None = None,
    window_mb: float = WINDOW / 1e6,
) -> Topology:
    """Nodes at sites of their own that send to each other over so many TCP `connections`.

    A number holds for every pair of nodes; in a matrix row a, column b holds from node a to node b, so that the two
    ways may differ. All that enters or leaves a site passes its own link of `site_gbit_per_s`, as wide as the widest
    pair's unless given.
    """
    nodes = ceil(devices / fabric.devices_per_node)
    nominal = _matrix("gbit_per_s", gbit_per_s, nodes) * 1e9 / 8.0
    trips = _matrix("round_trip_ms", round_trip_ms, nodes) / 1e3
    lost = _matrix("loss", loss, nodes)
    pairs = [(a, b) for a in range(nodes) for b in range(nodes) if a != b]
    tcp = {p: LongFatLink(float(nominal[p]), float(trips[p]), float(lost[p]), window_mb * 1e6) for p in pairs}
    between = [(nodes + a, nodes + b, link.parallel(connections)) for (a, b), link in tcp.items()]
    widest = max((link.bandwidth for link in tcp.values()), default=1.0)
    site = site_gbit_per_s * 1e9 / 8.0 if site_gbit_per_s else widest
    gates = both_ways([(node, nodes + node, site) for node in range(nodes)])
    delays = [0.0] * len(gates) + [link.round_trip / 2.0 for link in tcp.values()]
    router = np.arange(devices) // fabric.devices_per_node
    return wired("wide-area", devices, fabric, router, 2 * nodes, gates + between, delays=delays, ported=False)


def _matrix(name: str, given: float | Matrix, nodes: int) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    found = np.asarray(given, np.float64)
    if found.shape not in ((), (nodes, nodes)):
        raise InputError(f"{name} of topology wide-area: give one number, or {nodes} rows of {nodes}, one a node")
    return np.broadcast_to(found, (nodes, nodes))
