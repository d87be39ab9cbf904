"""Which sequences are in host memory or on the way there or back, and what is to be copied."""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from simulator.policies.kv_cache.paged import PagedKVCache
from simulator.policies.kv_cache.swap_space import SwapSpace
from simulator.policies.sequence import Sequence


@dataclass(frozen=True, slots=True)
class Order:
    """Blocks of a sequence to be copied to host memory, or from there (`back`), and the tokens that they hold."""

    sequence: Sequence
    blocks: int
    tokens: int
    back: bool


class Swapping:
    """Takes preempted sequences out of one replica's cache into host memory, and back.

    Decisions are made here and carried out by whoever takes the `orders`. A copy that stops the engine leaves blocks
    free at once. If `asynchronous`, blocks stay taken until `left` says that they have been copied out, and a sequence
    whose blocks are on their way back is not anywhere else until `arrived` puts it among the `landed`. Running
    sequences that need blocks which are leaving may `claim` them: the next iteration then waits for the `claimed`.
    """

    def __init__(self, kv: PagedKVCache, space: SwapSpace, *, asynchronous: bool = False) -> None:
        self.kv = kv
        self.space = space
        self.asynchronous = asynchronous
        self.orders: list[Order] = []
        self.claimed: list[Sequence] = []
        self.landed: deque[Sequence] = deque()
        self.arriving: dict[Sequence, None] = {}
        self.leaving_blocks = 0
        self.refused = 0
        self._out: dict[Sequence, None] = {}
        self._leaving: dict[Sequence, Sequence | None] = {}

    def __contains__(self, sequence: Sequence) -> bool:
        """Whether a waiting sequence is in host memory (or on its way there)."""
        return sequence in self._out

    def swap_out(self, sequence: Sequence) -> bool:
        """Move a sequence that has stopped running out of the cache; False, with nothing done, if it cannot be.

        It keeps its `computed` tokens; where its prompt was done, they are its `target` from now on.
        """
        tokens = sequence.computed
        blocks = self.space.store(sequence) if tokens else None
        if blocks is None:
            self.refused += tokens > 0
            return False
        sequence.target = max(sequence.target, tokens)
        sequence.looked_up = sequence.preemptions + 1  # lower tiers hold nothing that it needs
        if blocks:
            there = (self.kv.blocks_for(tokens) - blocks) * self.kv.block_tokens
            self.orders.append(Order(sequence, blocks, tokens - there, back=False))
        if blocks and self.asynchronous:
            self._leaving[sequence] = copy.copy(sequence)
            self.leaving_blocks += sequence.blocks
            sequence.leave_cache()
        else:
            self.kv.release(sequence)
            sequence.computed = tokens
        self._out[sequence] = None
        return True

    def claim(self, blocks: int) -> bool:
        """Free up to `blocks` blocks that are leaving, those that leave first; False if there are none."""
        free, found = self.kv.free, False
        for sequence, held in self._leaving.items():
            if self.kv.free >= free + blocks:
                break
            if held is not None:
                self._release(sequence, held)
                self.claimed.append(sequence)
                found = True
        return found

    @property
    def on_the_way_back(self) -> int:
        """Sequences that have blocks again and do not run yet."""
        return len(self.arriving) + len(self.landed)

    def left(self, sequence: Sequence) -> None:
        """All blocks of a sequence have been copied to host memory."""
        held = self._leaving[sequence]
        if held is not None:
            self._release(sequence, held)
        del self._leaving[sequence]

    def bring_back(self, sequence: Sequence, next_step: int, promised: Iterable[Sequence]) -> bool:
        """Take blocks for all computed tokens of a sequence in host memory, if it can then run on; else do nothing.

        `next_step` blocks are kept for the next decode step of those that run, and what the prompts `promised` still
        take. Blocks of its prefix that the cache knows are not copied.
        """
        if sequence in self._leaving:
            return False
        kv, tokens = self.kv, sequence.computed
        hit = kv.hit_blocks(sequence)
        own = kv.blocks_for(max(tokens + 1, sequence.target)) - kv.blocks_for(sequence.target)
        others = sum(kv.blocks_for(s.target) - s.blocks for s in promised)
        if not kv.admit(sequence, 0, hit=hit, spare=own + next_step + others):
            return False
        blocks = kv.blocks_for(tokens) - hit
        kv.take(blocks)
        sequence.blocks += blocks
        sequence.computed = tokens
        del self._out[sequence]
        self.orders.append(Order(sequence, blocks, tokens - hit * kv.block_tokens, back=True))
        if self.asynchronous:
            self.arriving[sequence] = None
        else:
            self.space.returned(sequence)
        return True

    def arrived(self, sequence: Sequence) -> None:
        """All blocks of a sequence are back on the device."""
        del self.arriving[sequence]
        self.space.returned(sequence)
        self.landed.append(sequence)

    def _release(self, sequence: Sequence, held: Sequence) -> None:
        self.leaving_blocks -= held.blocks
        self.kv.release(held)
        self._leaving[sequence] = None
