"""Orders in which the nodes of a graph can run: the given one, or one that needs less memory. One class each."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from simulator.workloads.graphs.graph import Graph
from simulator.workloads.graphs.memory.dependencies import Dependencies
from simulator.workloads.graphs.memory.sharing import InPlace, buffers

SIDE = 10  # sets that may wait for each that was looked at


class Order(Protocol):
    """The same graph with its nodes in another order in which they can run."""

    def __call__(self, graph: Graph, in_place: InPlace) -> Graph: ...


@dataclass(frozen=True, slots=True)
class Given:
    """As the graph has them."""

    def __call__(self, graph: Graph, in_place: InPlace) -> Graph:
        return graph


@dataclass(frozen=True, slots=True)
class LeastMemory:
    """The order with the lowest peak of activations.

    Sets of nodes that ran before all others are searched by the least peak on the way to them; what is alive after
    such a set does not depend on the order within it (Ahn et al., SERENITY, arXiv:2003.02369, section 3.1; Liberis and
    Lane, arXiv:1910.05110). Past `most` sets a greedy order is taken instead: of the nodes that can run, always the one
    that leaves least. It is dropped where the given order is as good.
    """

    most: int = 20_000

    def __call__(self, graph: Graph, in_place: InPlace) -> Graph:
        needs = Dependencies.of(graph, in_place)
        order = exact(needs, self.most) or list(greedy(needs))
        found = graph.with_nodes(graph.nodes[i] for i in order)
        return found if peak(found, in_place) < peak(graph, in_place) else graph


def exact(needs: Dependencies, most: int) -> list[int] | None:
    """Nodes in an order of the least peak, or None where more than `most` sets would have to be looked at.

    None too where `SIDE` times as many wait to be looked at, as they do where very many nodes could run at any time.
    """
    everything = (1 << needs.count) - 1
    start = needs.alive_at_start
    queue: list[tuple[float, int, int, float]] = [(start, 0, 0, start)]
    before: dict[int, tuple[int, int]] = {}
    reached: dict[int, float] = {0: start}
    settled: set[int] = set()
    while queue:
        highest, _, done, alive = heapq.heappop(queue)
        if done == everything:
            return _walk_back(before, done)
        if done in settled:
            continue
        settled.add(done)
        if len(settled) > most or len(reached) > SIDE * most:
            return None
        for node in needs.ready(done):
            during, after = needs.run(done, node, alive)
            top, then = max(highest, during), done | 1 << node
            if top < reached.get(then, float("inf")):
                reached[then], before[then] = top, (done, node)
                # of sets with the same peak, the furthest first
                heapq.heappush(queue, (top, -then.bit_count(), then, after))
    return None


def greedy(needs: Dependencies) -> Iterator[int]:
    """Nodes in an order in which each leaves as little in memory as any that can run then."""
    done, alive = 0, needs.alive_at_start
    while done.bit_count() < needs.count:
        choice = min(needs.ready(done), key=lambda node: (*reversed(needs.run(done, node, alive)), node))
        alive = needs.run(done, choice, alive)[1]
        done |= 1 << choice
        yield choice


def peak(graph: Graph, in_place: InPlace) -> float:
    """The most bytes at any time in the graph's own order."""
    ends: list[tuple[int, float]] = []
    for life in buffers(graph, in_place):
        ends += [(life.first, life.bytes), (life.last + 1, -life.bytes)]
    alive = highest = 0.0
    for _, change in sorted(ends):
        alive += change
        highest = max(highest, alive)
    return highest


def _walk_back(before: dict[int, tuple[int, int]], done: int) -> list[int]:
    order = []
    while done:
        done, node = before[done]
        order.append(node)
    return order[::-1]
