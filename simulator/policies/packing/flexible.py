"""FlexSP: for each micro-batch of a step, the groups of ranks that are done soonest, by integer programming."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from simulator.policies.packing.mesh import Mesh, Placed
from simulator.policies.packing.static import spread

BISECTIONS, DOUBLINGS = 5, 6
NODES = 200  # of the search tree of one program, a limit that does not depend on the machine


class FlexibleGroups:
    """Heterogeneous groups (Wang et al., arXiv:2412.01523, section 4): long sequences on many ranks, short ones on few.

    The batch, sorted by length, is cut into the fewest micro-batches that memory allows, and into up to `more` more.
    For each an integer program finds how many groups of each degree there are and how many sequences of each of
    `buckets` lengths each degree takes, so that all are done within the shortest time (found by bisection).
    """

    def __init__(self, buckets: int = 16, more: int = 2) -> None:
        if buckets < 1 or more < 0:
            raise ValueError("buckets must be at least 1 and more at least 0")
        self.buckets, self.more = buckets, more

    def place(self, lengths: Sequence[int], mesh: Mesh) -> list[Placed]:
        ordered = sorted(lengths, reverse=True)
        if ordered[0] > mesh.room * powers(mesh.degrees)[-1]:
            raise ValueError(f"a sequence of {ordered[0]} tokens does not fit: a rank holds {mesh.room}")
        count = max(1, -(-sum(ordered) // (mesh.ranks * mesh.room)))
        found: list[tuple[float, list[Placed]]] = []
        while len(found) <= self.more and count <= max(len(ordered), self.more + 1):
            plan = self._in_micro_batches(ordered, count, mesh)
            found += [] if plan is None else [plan]
            count += 1
        return min(found, key=lambda plan: plan[0])[1]

    def _in_micro_batches(self, ordered: list[int], count: int, mesh: Mesh) -> tuple[float, list[Placed]] | None:
        total, placed = 0.0, []
        for turn, part in enumerate(p for p in cut(ordered, count) if p):
            groups = self._groups(part, mesh)
            if groups is None:
                return None
            total += max(mesh.seconds(pack, degree) for pack, degree in groups)
            first = 0
            for pack, degree in sorted(groups, key=lambda g: -g[1]):
                placed.append(Placed(tuple(pack), first, degree, turn))
                first += degree
        return total, placed

    def _groups(self, part: Sequence[int], mesh: Mesh) -> list[tuple[list[int], int]] | None:
        """Sequences and degree of each group, None where the part does not fit."""
        program = Program.of(part, self.buckets, mesh)
        low, high = 0.0, program.least()
        best = self._within(high, program, part, mesh)
        for _ in range(DOUBLINGS):
            if best is not None:
                break
            low, high = high, 2 * high
            best = self._within(high, program, part, mesh)
        for _ in range(BISECTIONS if best is not None else 0):
            limit = (low + high) / 2
            found = self._within(limit, program, part, mesh)
            low, high, best = (limit, high, best) if found is None else (low, limit, found)
        return best

    def _within(
        self, limit: float, program: Program, part: Sequence[int], mesh: Mesh
    ) -> list[tuple[list[int], int]] | None:
        """Groups by the program for a limit, with the sequences spread over them."""
        counts = program.groups_within(limit)
        return None if counts is None else self._spread(part, counts, mesh)

    def _spread(self, part: Sequence[int], counts: dict[int, int], mesh: Mesh) -> list[tuple[list[int], int]] | None:
        degrees = [d for d in sorted(counts, reverse=True) for _ in range(counts[d])]
        found = spread(part, degrees, [d * mesh.room for d in degrees], mesh)
        return None if found is None else [(pack, d) for pack, d in zip(found, degrees, strict=True) if pack]


def powers(degrees: Sequence[int]) -> list[int]:
    """Those that are powers of two, as the groups of a node's ranks are."""
    return [d for d in degrees if d & (d - 1) == 0]


def cut(ordered: Sequence[int], count: int) -> list[list[int]]:
    """Consecutive parts with about as many tokens each."""
    total, passed = sum(ordered), 0
    parts: list[list[int]] = [[] for _ in range(count)]
    for length in ordered:
        parts[min(count - 1, passed * count // total)].append(length)
        passed += length
    return parts


@dataclass(frozen=True)
class Program:
    """The integer program of one micro-batch, over degrees and buckets of lengths."""

    mesh: Mesh
    lengths: tuple[int, ...]
    counts: tuple[int, ...]

    @classmethod
    def of(cls, part: Sequence[int], buckets: int, mesh: Mesh) -> Program:
        """Buckets of as many sequences each, every one as long as its longest."""
        groups = np.array_split(np.array(part), min(buckets, len(part)))
        return cls(mesh, tuple(int(g.max()) for g in groups), tuple(len(g) for g in groups))

    def least(self) -> float:
        """Seconds if all ranks shared out the work of the fewest ranks that hold each sequence."""
        mesh, degrees = self.mesh, powers(self.mesh.degrees)
        total = 0.0
        for length, count in zip(self.lengths, self.counts, strict=True):
            degree = next((d for d in degrees if d * mesh.room >= length), degrees[-1])
            total += count * degree * mesh.seconds((length,), degree)
        return total / mesh.ranks

    def groups_within(self, limit: float) -> dict[int, int] | None:
        """Groups of each degree that do all sequences within `limit` seconds; None if there are none.

        Of a degree d, m groups with n sequences of each bucket: all sequences placed, their seconds within m (limit -
        fixed), their tokens within m d room, and the ranks of all groups within those there are.
        """
        from scipy.optimize import Bounds, LinearConstraint, milp

        mesh, degrees = self.mesh, powers(self.mesh.degrees)
        rows, b, d = [], len(self.lengths), len(degrees)
        size = d + b * d
        upper = np.zeros(size)
        for i, degree in enumerate(degrees):
            spare = limit - mesh.fixed(degree)
            time, tokens = np.zeros(size), np.zeros(size)
            time[i], tokens[i] = -spare, -degree * mesh.room
            upper[i] = mesh.ranks // degree if spare > 0 else 0
            for j, length in enumerate(self.lengths):
                place = d + i * b + j
                added = mesh.seconds((length,), degree) - mesh.fixed(degree)
                time[place], tokens[place] = added, length
                fits = length <= degree * mesh.room and added <= spare
                upper[place] = self.counts[j] if fits else 0
            rows += [time / max(limit, 1e-12), tokens / mesh.room]
        all_ranks = np.zeros(size)
        all_ranks[:d] = degrees
        assigned = np.zeros((b, size))
        for j in range(b):
            assigned[j, d + j :: b] = 1.0
        found = milp(
            np.zeros(size),
            integrality=np.ones(size),
            bounds=Bounds(0, upper),
            constraints=[
                LinearConstraint(np.array(rows), -np.inf, 0.0),
                LinearConstraint(all_ranks, 0, mesh.ranks),
                LinearConstraint(assigned, self.counts, self.counts),
            ],
            options={"node_limit": NODES},
        )
        if found.x is None:
            return None
        return {degree: round(float(found.x[i])) for i, degree in enumerate(degrees) if found.x[i] > 0.5}
