"""A device that computes while its collectives run one after the other beside it, each slowing the other's units.

Kernels of a collective hold some of the device's units and draw on its memory while they run, so that what computes
beside them takes longer. Between two events both advance evenly, so that every end is exact.
"""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import dataclass
from typing import Literal

Where = Literal["hidden", "exposed", "waiting"]


@dataclass(frozen=True, slots=True)
class Segment:
    """Computation: `seconds` alone, and `beside` a collective that runs all the while, by the collective's level."""

    seconds: float
    beside: tuple[float, ...]

    def part(self, share: float) -> Segment:
        """A share of it."""
        return Segment(self.seconds * share, tuple(b * share for b in self.beside))


@dataclass(frozen=True, slots=True)
class Transfer:
    """A collective of some `kind` that takes `seconds`; its `level` says which links it uses, and so how it crowds."""

    kind: str
    seconds: float
    level: int = 0

    def part(self, share: float) -> Transfer:
        """A share of it."""
        return Transfer(self.kind, self.seconds * share, self.level)


class Streams:
    """Advances both streams of one device from second `now` on.

    `done` is the number of the last collective that ended, `slowed` the seconds that computation took longer for them.
    Of every second of collectives it notes where it passed: `hidden` beside computation, `waiting` while other stages
    had the device wait, or `exposed`, when the device waited for it.
    """

    def __init__(self) -> None:
        self.now = 0.0
        self.slowed = 0.0
        self.done = 0
        self._queue: deque[tuple[int, Transfer]] = deque()
        self._left = 0.0
        self._put = 0
        self._seconds: dict[tuple[Where, str], float] = defaultdict(float)

    def put(self, transfer: Transfer) -> int:
        """Have a collective run after all that were put before; its number."""
        self._put += 1
        if not self._queue:
            self._left = transfer.seconds
        self._queue.append((self._put, transfer))
        return self._put

    def compute(self, segment: Segment) -> None:
        """Compute a segment, beside whatever collectives run."""
        share = 1.0
        while share > 0.0 and self._queue:
            whole = segment.beside[self._queue[0][1].level]
            if whole * share <= self._left:
                self._advance(whole * share, "hidden")
                self.slowed += (whole - segment.seconds) * share
                return
            passed = self._left
            part = passed / whole if whole else share
            self._advance(passed, "hidden")
            self.slowed += (whole - segment.seconds) * part
            share -= part
        self.now += segment.seconds * share

    def wait(self, number: int) -> None:
        """Wait until the collective of this number is done."""
        while self.done < number:
            self._advance(self._left, "exposed")

    def idle(self, until: float) -> None:
        """Let time pass until a second at which other stages let the device go on."""
        while self._queue and self.now < until:
            self._advance(min(self._left, until - self.now), "waiting")
        self.now = max(self.now, until)

    def drain(self) -> None:
        """Wait for all collectives."""
        self.wait(self._put)

    def seconds(self, where: Where) -> dict[str, float]:
        """Seconds of collectives by kind that passed there."""
        return {kind: value for (place, kind), value in self._seconds.items() if place == where}

    def _advance(self, seconds: float, where: Where) -> None:
        """Let the collective at the head run for so long, no longer than it has left."""
        number, head = self._queue[0]
        self._seconds[where, head.kind] += seconds
        self.now += seconds
        self._left -= seconds
        if self._left <= 1e-15:
            self._queue.popleft()
            self.done = number
            self._left = self._queue[0][1].seconds if self._queue else 0.0
