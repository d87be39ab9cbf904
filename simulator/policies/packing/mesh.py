"""What a packing policy knows of the ranks and decides about sequences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Placed:
    """Sequences of `lengths` tokens, one micro-batch, on `ranks` consecutive ranks from `first` on.

    A rank runs its micro-batches in the order of their `turn`.
    """

    lengths: tuple[int, ...]
    first: int
    ranks: int
    turn: int = 0


def unstretched(tokens: int, ranks: int) -> float:
    """Where nothing leaves a device it holds what it has room for."""
    return 1.0


@dataclass(frozen=True, slots=True)
class Mesh:
    """`ranks` with the same weights, `usual` of which share a sequence in a static layout.

    A micro-batch of a static layout has at most `pack` tokens, and a rank holds at most `room` tokens. `degrees` are
    the numbers of ranks that can share sequences, rising. `seconds` says how long sequences of these lengths take on so
    many ranks, and `fixed` of that what one more sequence does not add. By `stretch` each of so many ranks holds more
    of one sequence of so many tokens, whose activations may leave the device.
    """

    ranks: int
    usual: int
    pack: int
    room: int
    degrees: tuple[int, ...]
    seconds: Callable[[Sequence[int], int], float]
    fixed: Callable[[int], float]
    stretch: Callable[[int, int], float] = unstretched

    def smallest(self, tokens: int, own: int) -> int:
        """The fewest ranks that have room and of which each takes `own` tokens, or all.

        Raises `ValueError` if not even all have room.
        """
        found = next((d for d in self.degrees if d * own >= tokens and self.holds(tokens, d)), self.degrees[-1])
        if not self.holds(tokens, found):
            raise ValueError(f"a sequence of {tokens} tokens does not fit: {found} ranks hold {found * self.room}")
        return found

    def holds(self, tokens: int, ranks: int) -> bool:
        """Whether so many ranks have room for one sequence."""
        room = ranks * self.room
        return room >= tokens or room * self.stretch(tokens, ranks) >= tokens


class Packing(Protocol):
    """Places the sequences of one step's batch."""

    def place(self, lengths: Sequence[int], mesh: Mesh) -> list[Placed]:
        """Every sequence once; no rank with two micro-batches in one turn. Raises `ValueError` if one cannot fit."""
        ...


def fill(lengths: Sequence[int], size: int) -> list[list[int]]:
    """Packs of at most `size` tokens, each sequence in the first that has room (first fit).

    A tree over the packs' free places finds it in time logarithmic in their number. Raises `ValueError` for a sequence
    that is longer than a pack.
    """
    leaves = 1 << max(0, (len(lengths) - 1).bit_length())
    free = [size] * (2 * leaves)
    packs: list[list[int]] = [[] for _ in range(leaves)]
    for length in lengths:
        if length > size:
            raise ValueError(f"a sequence of {length} tokens is longer than a pack of {size}: raise sequence")
        node = 1
        while node < leaves:
            node = 2 * node if free[2 * node] >= length else 2 * node + 1
        packs[node - leaves].append(length)
        free[node] -= length
        while node > 1:
            node //= 2
            free[node] = max(free[2 * node], free[2 * node + 1])
    return [pack for pack in packs if pack]
