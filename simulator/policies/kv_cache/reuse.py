"""Which stored keys and values a request can take instead of computing them: its prefix, or chunks anywhere."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from math import ceil
from typing import Protocol

from simulator.policies.kv_cache.paged import PagedKVCache
from simulator.policies.sequence import Extent, Sequence

Where = Callable[[Hashable], int | None]


@dataclass(frozen=True, slots=True)
class Piece:
    """A stored entry that a request can use: its identity, its tokens, and the tier that holds it (0: nearest)."""

    key: Hashable
    tokens: int
    tier: int


class Reuse(Protocol):
    """What of a request is looked for in the tiers, and what goes into them."""

    @property
    def keeps_evicted(self) -> bool:
        """Whether prefix blocks that device memory gives up go to the first tier."""
        ...

    def find(self, sequence: Sequence, kv: PagedKVCache, where: Where) -> list[Piece]:
        """Pieces to load for a waiting sequence; any leading part of the list is of use too."""
        ...

    def spared(self, sequence: Sequence, pieces: list[Piece], kv: PagedKVCache) -> int:
        """Blocks of the sequence that need not be computed once the pieces are there."""
        ...

    def prepare(self, sequence: Sequence, blocks: int) -> None:
        """Name the sequence's blocks so that the cache finds those spared."""
        ...

    def to_store(self, sequence: Sequence) -> list[Extent]:
        """(identity, tokens) that a sequence whose prompt has just been computed adds to the first tier."""
        ...


class ExactPrefix:
    """Blocks that continue what device memory holds of the prefix, up to the first that no tier has."""

    keeps_evicted = True

    def find(self, sequence: Sequence, kv: PagedKVCache, where: Where) -> list[Piece]:
        """Block after block, from the end of the hit in device memory."""
        hit = kv.hit_blocks(sequence)
        most = (sequence.target - 1) // kv.block_tokens
        found: list[Piece] = []
        start = 0
        for key, size in sequence.extents or ():
            for index in range(max(hit - start, 0), min(size, most - start)):
                tier = None if index < kv.cached_blocks(key) else where((key, index))
                if tier is None:
                    return found
                found.append(Piece((key, index), kv.block_tokens, tier))
            start += size
        return found

    def spared(self, sequence: Sequence, pieces: list[Piece], kv: PagedKVCache) -> int:
        """One block a piece."""
        return len(pieces)

    def prepare(self, sequence: Sequence, blocks: int) -> None:
        """Its own names serve."""

    def to_store(self, sequence: Sequence) -> list[Extent]:
        """Nothing: blocks go down as they are evicted."""
        return []


class ChunkReuse:
    """Any stored chunk of the prompt wherever it stands, with a share `recompute` of its tokens computed anew.

    A chunk's keys and values are loaded whole, turned to their positions and patched, so each request holds a
    copy of its own. Recomputed tokens count, as the question does, as following all that was loaded, which
    overstates their attention. Chunks enter the first tier when a prompt that has them was computed.

    Cache-Craft (arXiv:2502.15734) recomputes some tokens, about 15 % as in CacheBlend
    (arXiv:2405.16444); and APE (arXiv:2502.05431) none: `recompute` 0.
    """

    keeps_evicted = False

    def __init__(self, *, recompute: float = 0.15) -> None:
        if not 0.0 <= recompute <= 1.0:
            raise ValueError(f"recompute is {recompute}: give a share from 0 to 1")
        self.recompute = recompute

    def find(self, sequence: Sequence, kv: PagedKVCache, where: Where) -> list[Piece]:
        """Every chunk that some tier has, unless the sequence comes back from a preemption to its own blocks."""
        if sequence.preemptions and kv.hit_blocks(sequence):
            return []
        sequence.extents = None
        pieces = []
        for chunk, tokens in dict(sequence.chunks or ()).items():
            tier = where(("chunk", chunk))
            if tier is not None:
                pieces.append(Piece(("chunk", chunk), tokens, tier))
        return pieces

    def spared(self, sequence: Sequence, pieces: list[Piece], kv: PagedKVCache) -> int:
        """Whole blocks of the tokens that are not recomputed."""
        tokens = sum(piece.tokens - ceil(self.recompute * piece.tokens) for piece in pieces)
        return min(tokens, sequence.target - 1) // kv.block_tokens

    def prepare(self, sequence: Sequence, blocks: int) -> None:
        """One private run of blocks."""
        sequence.extents = [(("reused", sequence.index, sequence.preemptions), blocks)]

    def to_store(self, sequence: Sequence) -> list[Extent]:
        """All its chunks."""
        return [(("chunk", chunk), tokens) for chunk, tokens in dict(sequence.chunks or ()).items()]
