"""Which node takes which place in a job, where every link between nodes attains a bandwidth of its own.

Pipette searches this dedication of workers beside the layout (arXiv:2405.18093, section V).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulator.engine.network.network import Network
from simulator.workloads.operators import Collective

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]
WARM, COLD = 0.3, 0.001  # temperatures of the search, shares of the first placement's cost


@dataclass(frozen=True)
class Traffic:
    """Bytes between places that move at once: `sizes` from `sources` to `targets`; all that `times` a step."""

    sources: Indices
    targets: Indices
    sizes: Floats
    times: float = 1.0


def traffic_of(op: Collective, network: Network, times: float = 1.0) -> Traffic:
    """What the groups that run `op` send between the nodes of the network, places being its nodes."""
    size: dict[tuple[int, int], float] = defaultdict(float)
    per_node = network.topology.per_node
    for program in network.programs(op)[0]:
        for phase in program:
            for flow in phase.flows:
                for a, b in flow.edges:
                    if a // per_node != b // per_node:
                        size[a // per_node, b // per_node] += flow.size
    ends = np.array(list(size), np.int64).reshape(-1, 2)
    return Traffic(ends[:, 0], ends[:, 1], np.array(list(size.values())), times)


def placement_seconds(order: Sequence[int] | Indices, rates: Floats, traffic: Sequence[Traffic]) -> float:
    """Seconds a step that a placement spends on its slowest links, `order[p]` being the node at place p.

    `rates[a, b]` is what arrives at node b from node a, bytes/s.
    """
    nodes = np.asarray(order)
    return sum(
        t.times * float((t.sizes / rates[nodes[t.sources], nodes[t.targets]]).max()) for t in traffic if t.sizes.size
    )


def improved_placement(
    order: Sequence[int] | Indices, rates: Floats, traffic: Sequence[Traffic], *, swaps: int, rng: np.random.Generator
) -> Indices:
    """The best placement met over so many random exchanges of two nodes: simulated annealing, as Pipette's.

    A worse one is kept with chance exp(-change / temperature), which falls from `WARM` to `COLD` of the first cost.
    """
    now = np.array(order, np.int64)
    best, first = now.copy(), placement_seconds(now, rates, traffic)
    cost = least = first
    for k in range(swaps if now.size > 1 and first > 0.0 else 0):
        temperature = first * WARM * (COLD / WARM) ** (k / swaps)
        i, j = rng.choice(now.size, 2, replace=False)
        now[[i, j]] = now[[j, i]]
        found = placement_seconds(now, rates, traffic)
        if found <= cost or rng.random() < np.exp((cost - found) / temperature):
            cost = found
            if cost < least:
                best, least = now.copy(), cost
        else:
            now[[i, j]] = now[[j, i]]
    return best
