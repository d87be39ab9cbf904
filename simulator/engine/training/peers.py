"""Workers that tell each other scalars over links of their own, all at once or from neighbour to neighbour."""

from __future__ import annotations

from dataclasses import dataclass

from simulator.hardware.links import Link


@dataclass(frozen=True, slots=True)
class Peers:
    """Every worker has one `link`, and each message a header of so many bytes.

    Without `neighbours` a worker tells all others itself; else it passes on what it has heard to so many of them,
    which stand in a circle, and each scalar gets to each worker once.
    """

    link: Link
    header: float
    neighbours: int | None = None

    def sent(self, workers: int, payload: float) -> float:
        """Bytes that a worker sends in a step, and receives: `payload` of each other worker, and headers."""
        return (workers - 1) * payload + self._messages(workers) * self.header

    def seconds(self, workers: int, payload: float) -> float:
        """Seconds of a step's messages; a worker waits for those of the workers that tell it, not for later ones."""
        if workers == 1:
            return 0.0
        return self.link.latency + self.sent(workers, payload) / (self.link.bandwidth * self.link.efficiency)

    def delays(self, workers: int) -> list[int]:
        """Steps by which what each other worker told comes late: one less than the hops that it takes."""
        each = self._messages(workers)
        return [k // each for k in range(workers - 1)]

    def _messages(self, workers: int) -> int:
        others = workers - 1
        return others if self.neighbours is None else min(self.neighbours, others)
