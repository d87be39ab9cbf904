"""ByteScale's dynamic mesh: every sequence on as many ranks as it needs, short ones on one."""

from __future__ import annotations

from collections.abc import Sequence

from simulator.policies.packing.mesh import Mesh, Placed, fill


class DynamicMesh:
    """Data and context parallelism in one (Ge et al., arXiv:2502.21231, sections 4 and 6).

    A rank takes `tokens` of a micro-batch (None: an even share of the batch, but no more than it can hold). A longer
    sequence gets the fewest ranks that can take it; shorter ones are packed into what one rank takes and need no
    communication. The longest running are placed first, each on the consecutive ranks that are done first, so that
    ranks of long sequences get fewer packs of short ones. Groups begin at multiples of the next power of two, so that
    those that a node can hold do not cross its border.
    """

    def __init__(self, tokens: int | None = None) -> None:
        if tokens is not None and tokens < 1:
            raise ValueError("tokens must be at least 1")
        self.tokens = tokens

    def place(self, lengths: Sequence[int], mesh: Mesh) -> list[Placed]:
        ordered = sorted(lengths, reverse=True)
        own = min(mesh.room, self.tokens or max(1, sum(ordered) // mesh.ranks))
        long = [((n,), mesh.smallest(n, own)) for n in ordered if n > own]
        short = [(tuple(p), 1) for p in fill([n for n in ordered if n <= own], own)]
        timed = [(mesh.seconds(pack, ranks), pack, ranks) for pack, ranks in (*long, *short)]
        ends, turns = [0.0] * mesh.ranks, [0] * mesh.ranks
        placed = []
        for seconds, pack, ranks in sorted(timed, key=lambda t: (t[2] == 1, -t[0])):
            starts = range(0, mesh.ranks - ranks + 1, 1 << (ranks - 1).bit_length())
            first = min(starts, key=lambda s: max(ends[s : s + ranks]))
            there = slice(first, first + ranks)
            end, turn = max(ends[there]) + seconds, max(turns[there])
            ends[there], turns[there] = [end] * ranks, [turn + 1] * ranks
            placed.append(Placed(pack, first, ranks, turn))
        return placed
