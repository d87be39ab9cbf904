"""A link on which messages of one size share the bandwidth evenly, each no faster than its sender's own link."""

from __future__ import annotations

from collections import deque
from math import inf


class SharedLink:
    """Max-min fair sharing of equal messages, which is processor sharing.

    A message alone takes `seconds`; so many as `at_full_speed` go without slowing each other.
    """

    def __init__(self, seconds: float, at_full_speed: float) -> None:
        self._seconds, self._full = seconds, at_full_speed
        self._done = self._at = 0.0
        self._under_way: deque[tuple[float, int]] = deque()

    def __len__(self) -> int:
        return len(self._under_way)

    def join(self, now: float, worker: int) -> None:
        """A message of a worker sets out."""
        self._advance(now)
        self._under_way.append((self._done + self._seconds, worker))

    @property
    def next_end(self) -> float:
        """When the next message is through; messages of one size end in the order in which they set out."""
        if not self._under_way:
            return inf
        return self._at + (self._under_way[0][0] - self._done) / self._speed()

    def leave(self, now: float) -> int:
        """The worker whose message is through at `next_end`."""
        self._at = now
        self._done, worker = self._under_way.popleft()
        return worker

    def _advance(self, now: float) -> None:
        if self._under_way:
            self._done += (now - self._at) * self._speed()
        self._at = now

    def _speed(self) -> float:
        return min(1.0, self._full / len(self._under_way))
