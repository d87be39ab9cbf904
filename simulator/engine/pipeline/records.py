"""What happened: visits of items to stages."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Visit:
    """An item at a stage; all times in seconds.

    It waited in line from `entered` to `started`, was served until `ended`, `waited` seconds of which it stood in line
    for resources, and was on its way for `lag` more.
    """

    item: int
    stage: str
    entered: float
    started: float
    ended: float
    waited: float
    lag: float
    batch: int

    @property
    def queued(self) -> float:
        """Seconds of waiting, for the stage's servers and for resources."""
        return self.started - self.entered + self.waited

    @property
    def served(self) -> float:
        return self.ended - self.started - self.waited

    @property
    def sojourn(self) -> float:
        return self.ended - self.entered + self.lag
