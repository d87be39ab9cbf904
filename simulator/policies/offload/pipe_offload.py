"""PipeOffload: activations of micro-batches in flight wait in host memory, those that wait longest first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from simulator.errors import InputError


@dataclass(frozen=True, slots=True)
class Life:
    """A chunk's activations on a stage: seconds from forward to backward pass, of a copy, and of both passes."""

    waiting: float
    copying: float
    computing: float


class ActivationOffload(Protocol):
    """Chooses what of each chunk's activations leaves between its passes; copies back come `ahead` passes early.

    A forward pass waits until fewer than `pending` copies out are still to end (None: it never waits).
    `moves` is "activations".
    """

    moves: Literal["activations"]
    ahead: int
    pending: int | None

    def shares(self, chunks: Sequence[Life]) -> Sequence[float]:
        """Share of each chunk's activations, 0 to 1, of the chunks of one stage."""
        ...


class PipeOffload:
    """Chunks in the order of how long they wait, as much as passes hide (arXiv:2503.01328, section 3).

    A `share` chooses in place of that: so much of all copies' bytes, the longest waits first.
    """

    moves: Literal["activations"] = "activations"

    def __init__(self, share: float | None = None, ahead: int = 2, pending: int | None = None) -> None:
        if share is not None and not 0.0 <= share <= 1.0:
            raise InputError(f"offload option share must be between 0 and 1, not {share}")
        self.share = share
        self.ahead = ahead
        self.pending = pending

    def shares(self, chunks: Sequence[Life]) -> Sequence[float]:
        copying = sum(life.copying for life in chunks)
        left = sum(life.computing for life in chunks) if self.share is None else self.share * copying
        found = [0.0] * len(chunks)
        for number in sorted(range(len(chunks)), key=lambda n: -chunks[n].waiting):
            life = chunks[number]
            if life.waiting > 0.0 and life.copying > 0.0:
                found[number] = min(1.0, left / life.copying)
                left -= found[number] * life.copying
        return found
