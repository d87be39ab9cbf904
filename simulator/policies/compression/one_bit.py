"""1-bit Adam: after a warm-up, momentum is sent as signs with a scale, and what that loses is added to the next."""

from __future__ import annotations

from simulator.policies.compression.protocol import Gradient, Reduction
from simulator.policies.compression.streams import stream
from simulator.workloads.operators import Collective

BIT = 1.0 / 8.0


class OneBitAdam:
    """Signs go to a server for each share of the momentum, and its signs back to all (arXiv:2102.02888, section 4).

    Every device is the server of one share: an all-to-all, then an all-gather, of one bit a parameter each. Errors of
    the device's own signs and of its share's are kept in fp32. `warm_up` is the share of steps with plain Adam. Scales,
    one a share, are too few to count.
    """

    name = "one-bit-adam"

    def __init__(self, warm_up: float = 0.15) -> None:
        if not 0.0 <= warm_up <= 1.0:
            raise ValueError(f"warm_up is a share from 0 to 1, not {warm_up:g}")
        self.warm_up = warm_up
        self.state = 4.0

    def reduction(self, gradient: Gradient, world: int, stride: int) -> Reduction:
        if world == 1:
            return Reduction((), (), ())
        n, own, each = gradient.elements, gradient.elements / world, gradient.bytes_each
        before = (
            stream(n, each + 4.0, 4.0, 2.0),  # the gradient into the momentum
            stream(n, 8.0, 4.0, 2.0),  # the last error added, the scale's norm summed
            stream(n, 4.0, 4.0 + BIT, 3.0),  # signs, and the error that they leave
            stream(n, BIT, 4.0, 2.0),  # the server: signs of all devices for its own share, unpacked and summed
            stream(own, 12.0, 4.0 + BIT, 5.0),  # its error added, its signs and what they lose
        )
        links = (
            Collective("all_to_all", n * BIT, world, stride),
            Collective("all_gather", n * BIT, world, stride),
        )
        return Reduction(before, links, (stream(n, BIT, 4.0, 1.0),))
