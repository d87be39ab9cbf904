"""How many steps each worker has done, and how many the slowest."""

from __future__ import annotations

from collections import Counter


class Progress:
    """Steps done by each of so many workers."""

    def __init__(self, workers: int) -> None:
        self._done = [0] * workers
        self._at = Counter({0: workers})
        self._slowest = 0

    def done(self, worker: int) -> int:
        return self._done[worker]

    def ahead(self, worker: int) -> int:
        """Steps that a worker has done more than the slowest."""
        return self._done[worker] - self._slowest

    def step(self, worker: int) -> bool:
        """A worker has done a step; whether with it the slowest has."""
        before = self._done[worker]
        self._done[worker] += 1
        self._at[before] -= 1
        self._at[before + 1] += 1
        if before > self._slowest or self._at[before]:
            return False
        del self._at[before]
        self._slowest += 1
        return True
