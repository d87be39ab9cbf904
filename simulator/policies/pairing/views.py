"""What a pairing policy sees and answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Decoding:
    """A sequence that decodes, with `tokens` in its KV cache; `movable` where the other replica has them too."""

    index: int
    tokens: int
    movable: bool


@dataclass(frozen=True, slots=True)
class PairView:
    """What the first and the second replica of a pair decode now."""

    decoding: tuple[tuple[Decoding, ...], tuple[Decoding, ...]]

    def tokens(self, side: int) -> int:
        """Cached tokens of all that one replica decodes."""
        return sum(d.tokens for d in self.decoding[side])


class PairingPolicy(Protocol):
    """Decides which replica of a pair does what."""

    def computes(self, pair: PairView) -> int:
        """0 or 1: the replica that computes prompts from now on; the other takes over what it decodes."""
        ...

    def moves(self, pair: PairView) -> list[int]:
        """Indices of sequences that go on at the other replica, now that there are no more prompts."""
        ...
