"""Collectives as measured: the alpha-beta law with its own latencies, and the direct exchange of small messages."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simulator.workloads.operators import Size


@dataclass(frozen=True, slots=True)
class CollectiveCurve:
    """Parameters of one pattern on one kind of link.

    Seconds: `latency` of any call and `hop` for each further rank; `ramp` for getting the link up to speed, paid
    in full beyond `ramp_bytes`. `share` is the share of the link's bandwidth that large messages reach between
    two ranks; among p it is (2/p)^`crowding` of that, where ranks crowd the same host bridges (0 on a switch).
    `direct_latency`, `direct_hop` and `direct_share` are the same for the one-shot exchange in which every rank
    reads all others (all-reduce only; `direct_share` 0: not available).
    """

    share: float
    latency: float = 5e-6
    hop: float = 1e-6
    ramp: float = 5e-6
    ramp_bytes: float = 1e6
    crowding: float = 0.0
    direct_latency: float = 0.0
    direct_hop: float = 0.0
    direct_share: float = 0.0

    def seconds(self, pattern: str, message: Size, world: Size, bandwidth: float) -> Size:
        """Seconds of one call over links of `bandwidth` bytes a second and direction.

        Bytes over each link: 2(p-1)/p of the message for an all-reduce, (p-1)/p for the others (Thakur et al.,
        2005), the whole of it from one neighbour to the next.
        """
        others = world - 1.0
        crossed: Size = others / world
        if pattern == "all_reduce":
            crossed = 2.0 * crossed
        elif pattern == "send_recv":
            crossed = 1.0
        alone = (2.0 / np.asarray(world)) ** self.crowding
        ring: Size = self.latency + self.hop * others + crossed * message / (bandwidth * self.share * alone)
        ring = ring + self.ramp * message / (message + self.ramp_bytes)
        if pattern != "all_reduce" or not self.direct_share:
            return ring
        direct = self.direct_latency + self.direct_hop * others
        one_shot: Size = direct + others * message / (bandwidth * self.direct_share * alone)
        return np.minimum(ring, one_shot)
