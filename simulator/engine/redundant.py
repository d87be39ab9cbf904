"""Redundant KV caches: blocks in which a replica keeps what another one's sequences have cached."""

from __future__ import annotations

from dataclasses import dataclass

from simulator.policies.kv_cache import PagedKVCache
from simulator.policies.sequence import Sequence


@dataclass(slots=True)
class Copy:
    """The first `tokens` tokens of a sequence in `blocks` blocks, all there from `ready` seconds on.

    A `wanted` one is about to take the place of the original and is not given up.
    """

    tokens: int
    blocks: int
    ready: float = 0.0
    wanted: bool = False


class Copies:
    """Copies in the KV cache of one replica; they take blocks like any other, and are given up before it preempts.

    `given_up` counts the copies lost for want of memory.
    """

    def __init__(self, kv: PagedKVCache) -> None:
        self.kv = kv
        self.given_up = 0
        self._copies: dict[Sequence, Copy] = {}

    def __len__(self) -> int:
        return len(self._copies)

    def __contains__(self, sequence: object) -> bool:
        return sequence in self._copies

    def get(self, sequence: Sequence) -> Copy | None:
        """The copy of a sequence, if there is one."""
        return self._copies.get(sequence)

    @property
    def blocks(self) -> int:
        """Blocks that all copies take."""
        return sum(copy.blocks for copy in self._copies.values())

    def hold(self, sequence: Sequence, tokens: int) -> bool:
        """Keep a copy in free blocks, if they suffice."""
        blocks = self.kv.blocks_for(tokens)
        if blocks > self.kv.free:
            return False
        self.kv.take(blocks)
        self._copies[sequence] = Copy(tokens, blocks)
        return True

    def extend(self, sequence: Sequence, tokens: int) -> bool:
        """Let a copy grow to `tokens` tokens; without a free block for them it is given up."""
        found = self._copies[sequence]
        more = self.kv.blocks_for(tokens) - found.blocks
        if more > self.kv.free:
            self._give_up(sequence)
            return False
        if more:
            self.kv.take(more)
            found.blocks += more
        found.tokens = tokens
        return True

    def promote(self, sequence: Sequence) -> int:
        """The copy becomes the original: it is a copy no more, and its blocks, whose number is returned, stay taken."""
        return self._copies.pop(sequence).blocks

    def drop(self, sequence: Sequence) -> bool:
        """Free the blocks of a sequence's copy; whether there was one."""
        found = self._copies.pop(sequence, None)
        if found is None:
            return False
        self.kv.give_back(found.blocks)
        return True

    def make_room(self, blocks: int) -> bool:
        """Give up copies, the latest first, until so many blocks are free; whether they are."""
        for sequence in [s for s, copy in reversed(self._copies.items()) if not copy.wanted]:
            if self.kv.free >= blocks:
                break
            self._give_up(sequence)
        return self.kv.free >= blocks

    def _give_up(self, sequence: Sequence) -> None:
        self.drop(sequence)
        self.given_up += 1
