"""Time integral of a number that changes in steps."""

from __future__ import annotations


class Meter:
    """`level` over time, from time 0; `most` is its highest."""

    def __init__(self) -> None:
        self.level = 0
        self.most = 0
        self._area = 0.0
        self._since = 0.0

    def change(self, now: float, by: int) -> None:
        """The level goes up or down at time `now` (seconds)."""
        self._area += self.level * (now - self._since)
        self._since = now
        self.level += by
        self.most = max(self.most, self.level)

    def area(self, now: float) -> float:
        """Level times seconds from time 0 to `now`."""
        return self._area + self.level * (now - self._since)
