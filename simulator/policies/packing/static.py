"""Packs on a static mesh: every micro-batch on the same number of ranks."""

from __future__ import annotations

import heapq
from collections.abc import Sequence

from simulator.policies.packing.mesh import Mesh, Placed, fill


class InOrder:
    """Sequences as they come, each in the first pack with room; packs go to the replicas in turn.

    Packing of whole sequences without attention between them (Krell et al., arXiv:2107.02027).
    """

    def place(self, lengths: Sequence[int], mesh: Mesh) -> list[Placed]:
        replicas = mesh.ranks // mesh.usual
        return [
            Placed(tuple(pack), i % replicas * mesh.usual, mesh.usual, i // replicas)
            for i, pack in enumerate(fill(lengths, mesh.pack))
        ]


class Balanced:
    """As many packs, but each sequence, longest first, to the pack that takes the least time and has room.

    Attention grows with the square of a length and packs of as many tokens differ in time; so do replicas, whose packs
    are dealt out the longest first to the one that is done first (greedy partition: Graham, 1969).
    """

    def place(self, lengths: Sequence[int], mesh: Mesh) -> list[Placed]:
        ordered, replicas = sorted(lengths, reverse=True), mesh.ranks // mesh.usual
        count = len(fill(ordered, mesh.pack))
        count = -(-count // replicas) * replicas
        packs = spread(ordered, [mesh.usual] * count, [mesh.pack] * count, mesh)
        if packs is None:
            packs = fill(ordered, mesh.pack)
        loads = [(0.0, replica, 0) for replica in range(replicas)]
        placed = []
        for pack in sorted((p for p in packs if p), key=lambda p: -mesh.seconds(p, mesh.usual)):
            load, replica, turn = heapq.heappop(loads)
            placed.append(Placed(tuple(pack), replica * mesh.usual, mesh.usual, turn))
            heapq.heappush(loads, (load + mesh.seconds(pack, mesh.usual), replica, turn + 1))
        return placed


def spread(ordered: Sequence[int], degrees: Sequence[int], room: Sequence[int], mesh: Mesh) -> list[list[int]] | None:
    """Sequences to groups of these numbers of ranks: each to the one of those with room that is then done first.

    None where a sequence finds no room.
    """
    groups: list[list[int]] = [[] for _ in degrees]
    left = list(room)
    heaps: dict[int, list[tuple[float, int]]] = {d: [] for d in degrees}
    for g, degree in enumerate(degrees):
        heaps[degree].append((mesh.fixed(degree), g))
    for length in ordered:
        ends = []
        for degree, heap in heaps.items():
            added = mesh.seconds((length,), degree) - mesh.fixed(degree)
            ends += [(load + added, degree, g) for load, g in _least(heap, left, length)]
        if not ends:
            return None
        end, degree, g = min(ends)
        heap = [entry for entry in heaps[degree] if entry[1] != g]
        heapq.heapify(heap)
        heapq.heappush(heap, (end, g))
        heaps[degree] = heap
        groups[g].append(length)
        left[g] -= length
    return groups


def _least(heap: list[tuple[float, int]], left: Sequence[int], length: int) -> list[tuple[float, int]]:
    """The least loaded group with room, if there is one."""
    if heap and left[heap[0][1]] >= length:
        return [heap[0]]
    return sorted(entry for entry in heap if left[entry[1]] >= length)[:1]
