"""ByteScale's dynamic mesh: every sequence on as many ranks as it needs, short ones on one."""

from __future__ import annotations

from collections.abc import Sequence

from simulator.policies.packing.mesh import Mesh, Placed, fill


class DynamicMesh:
    """Data and context parallelism in one (Ge et al., arXiv:2502.21231, sections 4 and 6).

    A rank takes `tokens` of a micro-batch (None: an even share of the batch), but no more than it can hold. A longer
    sequence gets the fewest ranks that can take it; shorter ones are packed into what one rank takes and need no
    communication. Where activations may leave the devices, sequences get fewer ranks than have room for all of them,
    as far as that makes the whole batch quicker. The longest running are placed first, each on the consecutive ranks
    that are done first, so that ranks of long sequences get fewer packs of short ones. Groups begin at multiples of
    the next power of two, so that those that a node can hold do not cross its border.
    """

    def __init__(self, tokens: int | None = None) -> None:
        if tokens is not None and tokens < 1:
            raise ValueError("tokens must be at least 1")
        self.tokens = tokens

    def place(self, lengths: Sequence[int], mesh: Mesh) -> list[Placed]:
        ordered = sorted(lengths, reverse=True)
        most = self.tokens or max(1, sum(ordered) // mesh.ranks)
        own = min(mesh.room, most)
        long = zip([(n,) for n in ordered if n > own], fewest([n for n in ordered if n > own], most, mesh), strict=True)
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


def fewest(lengths: Sequence[int], most: int, mesh: Mesh) -> list[int]:
    """Ranks of each of these sequences, of which a rank takes at most so many tokens.

    Fewer ranks than have room for all activations take less of all ranks' time and longer for the sequence. Of limits
    to the longest of them, that one is chosen which is least together with an even share of all time, which no list
    of micro-batches exceeds (Graham, 1969).
    """
    options = [_options(n, most, mesh) for n in lengths]
    pace = max((min(seconds for seconds, _ in each) for each in options), default=0.0)

    def within(limit: float) -> list[tuple[float, int]]:
        return [next((o for o in each if o[0] <= limit), min(each)) for each in options]

    limits = sorted({seconds for each in options for seconds, _ in each if seconds >= pace})
    bounds = [limit + sum(seconds * ranks for seconds, ranks in within(limit)) / mesh.ranks for limit in limits]
    return [ranks for _, ranks in within(limits[bounds.index(min(bounds))])] if limits else []


def _options(tokens: int, most: int, mesh: Mesh) -> list[tuple[float, int]]:
    """Seconds and ranks of a sequence, from the fewest that hold it to those that have room for all activations."""
    least = mesh.smallest(tokens, most)
    enough = next((d for d in mesh.degrees if d >= least and d * mesh.room >= tokens), mesh.degrees[-1])
    tried = [d for d in mesh.degrees if least <= d <= enough and mesh.holds(tokens, d)]
    return [(mesh.seconds((tokens,), d), d) for d in tried]
