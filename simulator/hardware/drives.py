"""Storage under random reads: operations a second, bandwidth, latency and queue depth."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil


@dataclass(frozen=True, slots=True)
class Drive:
    """Random reads: at most `iops` a second and `bandwidth` bytes a second, each `latency` seconds.

    One reader has at most `depth` of them under way.
    """

    iops: float
    bandwidth: float
    latency: float
    depth: int = 64

    def occupied(self, requests: float, size: float) -> float:
        """Seconds that so many reads of `size` bytes take of the drive's throughput."""
        return requests * max(1.0 / self.iops, size / self.bandwidth)

    def delay(self, requests: float) -> float:
        """Seconds of latency that one reader sees: as many in a row as it takes to get all under way."""
        return self.latency * ceil(requests / self.depth)
