"""Sites far apart, joined by long fat TCP links."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

import numpy as np

from simulator.errors import InputError
from simulator.hardware.fabric import Fabric
from simulator.hardware.long_fat import WINDOW, LongFatLink
from simulator.hardware.topology.direct import pairwise
from simulator.hardware.topology.graph import Topology

Matrix = Sequence[Sequence[float]]


def wide_area(
    devices: int,
    fabric: Fabric,
    *,
    gbit_per_s: float | Matrix,
    round_trip_ms: float | Matrix,
    loss: float | Matrix = 0.0,
    connections: int = 1,
    window_mb: float = WINDOW / 1e6,
) -> Topology:
    """Nodes at sites of their own that send to each other over so many TCP `connections`.

    A number holds for every pair of nodes; in a matrix row a, column b holds from node a to node b, so that the two
    ways may differ.
    """
    nodes = ceil(devices / fabric.devices_per_node)
    values = [_matrix(n, v, nodes) for n, v in (("gbit_per_s", gbit_per_s), ("round_trip_ms", round_trip_ms))]
    lost = _matrix("loss", loss, nodes)
    rates, delays = np.zeros((nodes, nodes)), np.zeros((nodes, nodes))
    for a in range(nodes):
        for b in range(nodes):
            if a != b:
                nominal, trip = values[0][a, b] * 1e9 / 8.0, values[1][a, b] / 1e3
                link = LongFatLink(nominal, trip, lost[a, b], window_mb * 1e6)
                rates[a, b] = link.parallel(connections)
                delays[a, b] = trip / 2.0
    return pairwise(devices, fabric, rates=rates.tolist(), delays=delays.tolist())


def _matrix(name: str, given: float | Matrix, nodes: int) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    try:
        found = np.broadcast_to(np.asarray(given, np.float64), (nodes, nodes))
    except ValueError:
        raise InputError(
            f"{name} of topology wide-area: give one number, or {nodes} rows of {nodes}, one a node"
        ) from None
    return found
