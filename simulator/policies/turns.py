"""Whose turn it is on devices that hold one model at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Member:
    """One model of a group as it is now: calls that wait for its turn, the arrival of the first, and calls inside.

    `oldest` is in seconds, infinite where none waits.
    """

    waiting: int
    oldest: float
    inside: int


class Turns(Protocol):
    """Decides which model is in memory."""

    def next(self, members: Sequence[Member], resident: int, now: float) -> int:
        """The place of the model whose turn it is now; another than the `resident` one is loaded when that is done.

        Asked when a call has come or ended. `resident` is -1 before the first model was loaded.
        """
        ...


class LongestWaiting:
    """A model stays while it has work, then comes the one whose first call has waited longest.

    With `patience_s`, a call that has waited longer than this for another model ends the turn sooner.
    """

    def __init__(self, *, patience_s: float | None = None) -> None:
        if patience_s is not None and not patience_s >= 0:
            raise ValueError(f"patience_s is {patience_s}, which must be 0 or more")
        self._patience = patience_s

    def next(self, members: Sequence[Member], resident: int, now: float) -> int:
        """The resident one, or that of the oldest call."""
        first = min(range(len(members)), key=lambda m: members[m].oldest)
        if resident < 0 or not members[first].waiting:
            return first if resident < 0 else resident
        own = members[resident]
        tired = self._patience is not None and now - members[first].oldest > self._patience
        return resident if (own.inside or own.waiting) and not tired else first
