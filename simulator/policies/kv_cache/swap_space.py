"""Host memory for the cache of sequences that were swapped out, in blocks."""

from __future__ import annotations

from dataclasses import dataclass

from simulator.policies.sequence import Sequence


@dataclass(slots=True)
class _Copy:
    """Blocks that a copy takes in host memory, and how many tokens of it are as on the device."""

    blocks: int
    tokens: int


class SwapSpace:
    """Room for `blocks` blocks of `block_tokens` tokens in the host memory of one replica.

    Without `reuse` a copy is dropped when its sequence is back on the device. With it the copy is kept while the
    sequence runs on, and the next time only what was written since has to move (FastSwitch, arXiv:2411.18424, reuse
    of copies); kept copies give way, the first that was kept first, when others need the room.
    """

    def __init__(self, blocks: int, block_tokens: int, *, reuse: bool = False) -> None:
        self.blocks = blocks
        self.block_tokens = block_tokens
        self.reuse = reuse
        self.used = 0
        self._copies: dict[Sequence, _Copy] = {}
        self._kept: dict[Sequence, None] = {}

    def store(self, sequence: Sequence) -> int | None:
        """Take room for all its computed tokens; the blocks to copy there, or None if there is no room.

        Where there is none, what was kept of the sequence is dropped too.
        """
        size, tokens = self.block_tokens, sequence.computed
        wanted = -(-tokens // size)
        copy = self._copies.get(sequence, _Copy(0, 0))
        self._kept.pop(sequence, None)
        while self.used + wanted - copy.blocks > self.blocks and self._kept:
            self.forget(next(iter(self._kept)))
        if self.used + wanted - copy.blocks > self.blocks:
            self.forget(sequence)
            return None
        self.used += wanted - copy.blocks
        self._copies[sequence] = _Copy(wanted, tokens)
        return 0 if tokens == copy.tokens else wanted - copy.tokens // size

    def returned(self, sequence: Sequence) -> None:
        """The sequence is back on the device."""
        if self.reuse:
            self._kept[sequence] = None
        else:
            self.forget(sequence)

    def forget(self, sequence: Sequence) -> None:
        """Drop what there is of a sequence, if anything."""
        self._kept.pop(sequence, None)
        copy = self._copies.pop(sequence, None)
        if copy is not None:
            self.used -= copy.blocks
