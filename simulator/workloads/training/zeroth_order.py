"""Training without a backward pass: gradients along random directions from differences of the loss.

MeZO (Malladi et al., arXiv:2305.17333, algorithm 1) moves all weights by a random direction in place, forward and back,
and forms that direction again from its seed whenever it is needed, so that memory is that of inference.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from simulator.workloads.dtypes import DType
from simulator.workloads.operators import Call, Elementwise

# A normal number of a counter-based generator: ten rounds of ten integer operations give four numbers of 32 bits in
# Philox-4x32-10 (Salmon et al., SC 2011, section 3.3), and Box and Muller's transform takes about twenty each.
NORMAL_FLOPS = 45.0
SCALED_ADD = 2.0
# To one side, to the other, and back again (algorithm 1).
MOVES = 3


@dataclass(frozen=True, slots=True)
class ZerothOrder:
    """Directions tried with a batch (`probes`), each with two forward passes and one scalar sent in `bits` bits.

    A pass over the weights that updates them adds up to `fused` directions at once. `each` micro-batch has directions
    of its own (arXiv:2306.10015: seeds are of a machine and a sample), or all of a step have the same.
    """

    probes: int = 1
    fused: int = 1
    bits: float = 8.0
    each: bool = False

    @property
    def forwards(self) -> int:
        """Forward passes of a micro-batch."""
        return 2 * self.probes

    def directions(self, micro_batches: int) -> int:
        """Directions of a worker in a step of so many micro-batches."""
        return self.probes * (micro_batches if self.each else 1)

    def payload(self, directions: int) -> float:
        """Bytes that tell of so many directions: their seeds follow from who took them when."""
        return directions * self.bits / 8.0

    def perturbations(self, parameters: float, weights: DType, directions: int) -> Iterator[Call]:
        """Passes over so many weights around the forward passes of a worker's directions."""
        yield Call("perturbation", moved(parameters, 1, weights), MOVES * directions)

    def updates(self, parameters: float, weights: DType, directions: int) -> Iterator[Call]:
        """Passes over the weights that add so many directions, those of all workers."""
        full, rest = divmod(directions, self.fused)
        if full:
            yield Call("update", moved(parameters, self.fused, weights), full)
        if rest:
            yield Call("update", moved(parameters, rest, weights))


def moved(parameters: float, directions: int, weights: DType) -> Elementwise:
    """Read weights, add so many random directions that are formed on the way, write them."""
    return Elementwise(parameters, 1.0, 1.0, directions * (NORMAL_FLOPS + SCALED_ADD), weights)
