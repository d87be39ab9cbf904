"""The paged KV cache with prefix reuse, as vLLM V1 keeps it (PagedAttention, arXiv:2309.06180).

Blocks are not objects here: a cache of a million blocks is a few counters and one queue. What a block holds
matters only as part of an extent, a run of blocks with one identity (a prefix hash of the trace).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable

from simulator.policies.sequence import Sequence


class _Blank:
    """Identity of a run of free blocks that hold nothing worth finding again."""

    __slots__ = ()


class PagedKVCache:
    """Fixed blocks of `block_tokens` tokens, shared between sequences with equal prefixes.

    `free` counts the blocks that no sequence holds. They wait in one queue, least recently released first;
    some still hold a known extent, which a hit takes back out of the queue and an allocation that reaches it
    forgets. A sequence releases its last blocks first, so prefixes outlive what follows them. An extent of
    several blocks is held as a whole and forgotten block by block from its end. Of two copies of one extent
    only the first can be found. `on_evict` is told (identity, first, stop) of the blocks of an extent that are
    forgotten. `keep_share` is the share of its prompt that a sequence keeps when it decodes (None: all).
    """

    def __init__(
        self,
        *,
        blocks: int,
        block_tokens: int = 16,
        prefix_caching: bool = True,
        keep_share: float | None = None,
    ) -> None:
        self.blocks = blocks
        self.block_tokens = block_tokens
        self.prefix_caching = prefix_caching
        self.keep_share = keep_share
        self.free = blocks
        self.on_evict: Callable[[Hashable, int, int], None] | None = None
        self._idle: OrderedDict[Hashable, int] = OrderedDict()
        self._known: dict[Hashable, int] = {}
        self._holders: dict[Hashable, int] = {}
        self._push_blank(blocks)

    @property
    def used(self) -> int:
        """Blocks that sequences hold."""
        return self.blocks - self.free

    def blocks_for(self, tokens: int) -> int:
        """Blocks that `tokens` tokens fill, the last one perhaps in part."""
        return -(-tokens // self.block_tokens)

    def cached_blocks(self, key: Hashable) -> int:
        """Leading blocks of an extent that can be found here."""
        return self._known.get(key, 0)

    def blank_blocks(self) -> int:
        """Free blocks that can be taken before a known extent has to be forgotten."""
        count = 0
        for key, held in self._idle.items():
            if key in self._known:
                break
            count += held
        return count

    def hit_blocks(self, sequence: Sequence) -> int:
        """Leading blocks of a sequence that are cached; at least one token is always left to compute."""
        if not self.prefix_caching or not sequence.extents:
            return 0
        most = (sequence.target - 1) // self.block_tokens
        hit = 0
        for key, size in sequence.extents:
            found = min(self._known.get(key, 0), size, most - hit)
            hit += found
            if found < size:
                break
        return hit

    def fits(self, sequence: Sequence, tokens: int, hit: int, *, spare: int = 0, whole: bool = False) -> bool:
        """Whether a waiting sequence's `hit` cached blocks and room for `tokens` tokens more can be had, as `admit`."""
        reach = hit * self.block_tokens + tokens
        wanted = self.blocks_for(max(reach, sequence.target) if whole else reach) - hit
        _, revived, _ = self._extents_of(sequence, hit)
        return wanted + revived + spare <= self.free

    def admit(self, sequence: Sequence, tokens: int, *, hit: int = 0, spare: int = 0, whole: bool = True) -> bool:
        """Give a waiting sequence its `hit` cached blocks and room for `tokens` tokens more, or change nothing.

        With `whole`, room for all of `sequence.target` must be free (vLLM's `scheduler_reserve_full_isl`),
        though only what `tokens` need is taken. `spare` blocks must stay free besides (the watermark).
        """
        reach = hit * self.block_tokens + tokens
        wanted = self.blocks_for(max(reach, sequence.target) if whole else reach) - hit
        held, revived, beyond = self._extents_of(sequence, hit)
        if wanted + revived + spare > self.free:
            return False
        if beyond:
            self._forget(held[-1], beyond)
        for key in held:
            self.hold(key)
        sequence.held = held
        sequence.held_blocks = sequence.blocks = hit
        sequence.next_extent = sequence.extent_start = 0
        sequence.computed = hit * self.block_tokens
        return self.grow(sequence, tokens)

    def grow(self, sequence: Sequence, tokens: int) -> bool:
        """Room for `tokens` tokens after the computed ones, or False with nothing changed."""
        reach = sequence.computed + tokens
        more = self.blocks_for(reach) - sequence.blocks
        if more > self.free:
            return False
        if more > 0:
            self.take(more)
            sequence.blocks += more
        self._register(sequence, reach // self.block_tokens)
        return True

    def take(self, count: int) -> None:
        """Take `count` free blocks, the least recently released first; what they held is forgotten."""
        self.free -= count
        idle, known = self._idle, self._known
        while count:
            key = next(iter(idle))
            held = idle[key]
            if held > count:
                idle[key] = held - count
                if key in known:
                    known[key] = held - count
                    if self.on_evict is not None:
                        self.on_evict(key, held - count, held)
                return
            count -= held
            del idle[key]
            if known.pop(key, None) is not None and self.on_evict is not None:
                self.on_evict(key, 0, held)

    def give_back(self, count: int) -> None:
        """Free `count` blocks that were taken and hold nothing worth finding again."""
        self.free += count
        self._push_blank(count)

    def keep(self, identity: Hashable, count: int) -> None:
        """Take `count` free blocks for what is no sequence's, such as an adapter, and hold them under its identity.

        Between `let_go` and the next `hold` they wait among the free blocks, where an allocation may forget some.
        """
        self.take(count)
        self._known[identity] = count
        self._holders[identity] = 1

    def hold(self, identity: Hashable) -> None:
        """Hold an extent that can be found here, once more."""
        holders = self._holders.get(identity, 0)
        self._holders[identity] = holders + 1
        if not holders:
            self.free -= self._idle.pop(identity)

    def let_go(self, identity: Hashable) -> None:
        """Hold an extent once less; without any holder its blocks are free, the last to be taken."""
        holders = self._holders[identity] - 1
        if holders:
            self._holders[identity] = holders
            return
        del self._holders[identity]
        self._idle[identity] = self._known[identity]
        self.free += self._known[identity]

    def touch(self, identity: Hashable) -> None:
        """Make the free blocks of an extent the last to be taken."""
        self._idle.move_to_end(identity)

    def forget(self, identity: Hashable) -> None:
        """Let what is left of an extent that nobody holds be found no more."""
        self._known.pop(identity, None)

    def trim(self, sequence: Sequence, tokens: int) -> None:
        """Free the blocks of a sequence beyond those that `tokens` tokens fill; none of its blocks is shared."""
        surplus = sequence.blocks - self.blocks_for(tokens)
        if surplus > 0:
            sequence.blocks -= surplus
            self.give_back(surplus)

    def release(self, sequence: Sequence, *, resumable: bool = False) -> None:
        """Give back all blocks of a sequence; with `resumable`, it may find its own tokens again later."""
        full = sequence.computed // self.block_tokens
        self._register(sequence, full)
        private = sequence.blocks - sequence.held_blocks
        kept = self._private_full_blocks(sequence, full) if resumable and self.prefix_caching else 0
        self._push_blank(private - kept)
        if kept:
            extents = sequence.extents = list(sequence.extents or ())
            own = (sequence, len(extents))
            extents.append((own, kept))
            self._idle[own] = self._known[own] = kept
        self.free += private
        for key in reversed(sequence.held):
            self.let_go(key)
        sequence.held = []
        sequence.blocks = sequence.held_blocks = sequence.computed = 0

    def clear(self) -> None:
        """Forget everything; no sequence may hold a block."""
        self._idle.clear()
        self._known.clear()
        self._holders.clear()
        self.free = self.blocks
        self._push_blank(self.blocks)

    def _extents_of(self, sequence: Sequence, hit: int) -> tuple[list[Hashable], int, int]:
        """Identities of the extents that the first `hit` blocks lie in, how many of these are free, and those behind.

        A prompt that is cached to its end computes its last token again, in a block of its own: the one that the last
        extent has for it is not needed.
        """
        held: list[Hashable] = []
        revived = beyond = 0
        for key, size in sequence.extents or ():
            if hit <= 0:
                break
            held.append(key)
            if key not in self._holders:
                revived += min(self._known[key], hit)
                beyond = max(0, self._known[key] - hit)
            hit -= size
        return held, revived, beyond

    def _forget(self, key: Hashable, count: int) -> None:
        """Let the last `count` blocks of an extent that nobody holds be free for anything."""
        self._known[key] -= count
        self._idle[key] -= count
        self._push_blank(count)

    def _register(self, sequence: Sequence, full_blocks: int) -> None:
        """Make the sequence's extents up to its first `full_blocks` blocks findable."""
        extents = sequence.extents
        if not extents or not self.prefix_caching:
            return
        index, start = sequence.next_extent, sequence.extent_start
        while index < len(extents):
            key, size = extents[index]
            reached = min(full_blocks - start, size)
            if reached <= 0:
                break
            known = self._known.get(key, 0)
            if reached > known and (known == 0 or key in sequence.held):
                if known == 0:
                    self._holders[key] = 1
                    sequence.held.append(key)
                self._known[key] = reached
                sequence.held_blocks += reached - known
            if reached < size:
                break
            index += 1
            start += size
        sequence.next_extent, sequence.extent_start = index, start

    def _private_full_blocks(self, sequence: Sequence, full_blocks: int) -> int:
        """Full blocks after the named extents, if those are all held (else what follows cannot be found)."""
        named = sequence.extent_start
        complete = sequence.next_extent == len(sequence.extents or ()) and sequence.held_blocks == named
        return full_blocks - named if complete else 0

    def _push_blank(self, count: int) -> None:
        if count <= 0:
            return
        last = next(reversed(self._idle), None)
        if not isinstance(last, _Blank):
            last = _Blank()
        self._idle[last] = self._idle.get(last, 0) + count
