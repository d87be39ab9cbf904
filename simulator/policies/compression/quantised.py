"""Quantised gradients: integers with a scale a group, sent to a server for each share and back."""

from __future__ import annotations

from simulator.policies.compression.protocol import Gradient, Reduction
from simulator.policies.compression.streams import stream
from simulator.workloads.operators import Collective

SCALE = 4.0  # bytes of a group's scale


class Quantised:
    """`bits` a number and a scale for each `group` (QSGD, arXiv:1610.02132; by all-to-all as ZeRO++, arXiv:2306.10209).

    Integers of different scales cannot be summed on the way, so that shares are summed where all of one arrive.
    """

    warm_up = 0.0
    state = 0.0

    def __init__(self, bits: int = 8, group: int = 256) -> None:
        if bits not in (4, 8) or group < 1:
            raise ValueError(f"bits are 4 or 8 and a group has 1 number at least, not {bits} and {group}")
        self.bits, self.group = bits, group
        self.name = "quantised"

    @property
    def bytes_each(self) -> float:
        """Bytes of a number on the links, its share of the scale included."""
        return self.bits / 8.0 + SCALE / self.group

    def reduction(self, gradient: Gradient, world: int, stride: int) -> Reduction:
        if world == 1:
            return Reduction((), (), ())
        n, own, each = gradient.elements, gradient.elements / world, self.bytes_each
        before = (
            stream(n, 2.0 * gradient.bytes_each, each, 4.0),  # largest of each group, then the integers
            stream(n, each, 0.0, 2.0),
            stream(own, 0.0, 4.0 + each, 4.0),
        )
        links = (
            Collective("all_to_all", n * each, world, stride),
            Collective("all_gather", n * each, world, stride),
        )
        return Reduction(before, links, (stream(n, each, gradient.bytes_each, 2.0),))
