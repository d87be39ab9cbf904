"""Collectives of a training job over a topology: all groups that run the same collective at once share its links."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from simulator.engine.network import collectives
from simulator.engine.network.flows import Completion, Program, complete, placed
from simulator.errors import InputError
from simulator.hardware.topology import Routes, Topology
from simulator.policies.paths import PathPolicy
from simulator.workloads.operators import Collective

Indices = NDArray[np.int64]
AllReduce = Literal["fastest", "ring", "tree", "halving-doubling", "in-network"]


@dataclass(frozen=True)
class Network:
    """`topology` routed by `policy`; `placed` is the device of each rank, shape (ranks,).

    `all_reduce` says how nodes reduce among each other: the "fastest" is what a tuned library picks of ring and tree
    (and of rings both ways on a torus).
    """

    topology: Topology
    policy: PathPolicy
    placed: Indices
    all_reduce: AllReduce = "fastest"
    _usage: dict[tuple[str, int, int, int], csr_array] = field(default_factory=dict, repr=False, compare=False)

    @cached_property
    def routes(self) -> Routes:
        return Routes(self.topology)

    def seconds(self, op: Collective) -> float:
        """Seconds until the last group is done, all of them running `op` at once; the fastest algorithm is taken.

        Ranks of a group are `op.stride` apart in the job's own order.
        """
        return min(float(c.seconds.max()) for c in self.completions(op))

    def inside(self, op: Collective) -> bool:
        """Whether every group stays in a node, where groups do not meet, or has nothing to send."""
        groups = self.groups(op)
        if op.world <= 1 or not groups.size or float(np.asarray(op.message)) <= 0.0:
            return True
        nodes = groups // self.topology.per_node
        return bool((nodes == nodes[:, :1]).all())

    def groups(self, op: Collective) -> Indices:
        """Devices of each group, shape (groups, world); neighbours in a chain of senders make a group each."""
        ranks = len(self.placed)
        if op.pattern == "send_recv" and op.world == 2:
            first = np.arange(ranks - op.stride)
            return self.placed[np.stack([first, first + op.stride], axis=1)]
        block = op.world * op.stride
        whole = np.arange(ranks // block * block).reshape(-1, op.world, op.stride)
        return self.placed[whole.transpose(0, 2, 1).reshape(-1, op.world)]

    def completions(self, op: Collective) -> Iterator[Completion]:
        """What becomes of each algorithm that may run `op`. Connections keep their paths, whatever the size."""
        for i, programs in enumerate(self.programs(op)):
            key = (op.pattern, op.world, op.stride, i)
            if key not in self._usage:
                self._usage[key] = placed(programs, self.routes, self.policy)
            yield complete(programs, self.routes, self._usage[key])

    def _algorithms(self, op: Collective) -> list[collectives.Algorithm]:
        """Those that may run `op`: in two levels where groups have equally many ranks in all their nodes."""
        even, node = self._even(op), self.topology.node
        if op.pattern == "all_reduce":
            flat = self._between(op)
            return [partial(collectives.hierarchical_all_reduce, node=node, flat=f) for f in flat] if even else flat
        if op.pattern == "all_to_all":
            return [collectives.all_to_all]
        if op.pattern == "send_recv":
            return [collectives.send_recv if op.world == 2 else collectives.pass_on]
        return [partial(collectives.hierarchical_all_gather, node=node) if even else collectives.ring_all_gather]

    def programs(self, op: Collective) -> list[list[Program]]:
        """What each group sends, for each algorithm that may run `op`."""
        groups, message = self.groups(op).tolist(), float(np.asarray(op.message))
        return [[algorithm(g, message) for g in groups] for algorithm in self._algorithms(op)]

    def _even(self, op: Collective) -> bool:
        """Whether each group has equally many ranks in all its nodes."""
        nodes = self.groups(op) // self.topology.per_node
        return all(len(set(np.unique(row, return_counts=True)[1].tolist())) == 1 for row in nodes)

    def _between(self, op: Collective) -> list[collectives.Algorithm]:
        """All-reduces between nodes that `all_reduce` allows."""
        if self.all_reduce == "halving-doubling":
            return [collectives.halving_doubling_all_reduce]
        if self.all_reduce == "in-network":
            return [partial(collectives.in_network_all_reduce, router=self.topology.router.tolist())]
        flat = {
            "ring": [collectives.ring_all_reduce],
            "tree": [collectives.tree_all_reduce],
            "fastest": [collectives.ring_all_reduce, collectives.tree_all_reduce],
        }[self.all_reduce]
        both_ways = self.all_reduce == "fastest" and not self.topology.ported
        return [*flat, collectives.two_way_ring_all_reduce] if both_ways else list(flat)


def placed_in(order: tuple[str, ...], degrees: dict[str, int]) -> Indices:
    """The device of each rank when devices are dealt along `order`, innermost first.

    `degrees` lists the dimensions in the order in which ranks themselves count, innermost first. Raises `InputError`
    unless `order` names each of them once; those of degree 1 may be left out.
    """
    split = {name: degree for name, degree in degrees.items() if degree > 1}
    dealt = [name for name in order if name in split]
    if sorted(dealt) != sorted(split):
        raise InputError(f"network.placement {list(order)}: name each of {', '.join(split)} once, innermost first")
    names = list(split)
    ranks = np.arange(math.prod(split.values())).reshape([split[n] for n in reversed(names)])
    rank_at = ranks.transpose([names[::-1].index(n) for n in reversed(dealt)]).reshape(-1)
    placed = np.empty_like(rank_at)
    placed[rank_at] = np.arange(rank_at.size)
    return placed
