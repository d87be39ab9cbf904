"""Optimisers by what they keep of each parameter and what an update reads and writes."""

from __future__ import annotations

from dataclasses import dataclass

from simulator.errors import unknown_name
from simulator.workloads.dtypes import DTYPES, DType

MASTER, HALF = DTYPES["fp32"].bytes, DTYPES["bf16"].bytes


@dataclass(frozen=True, slots=True)
class Optimizer:
    """Bytes a parameter in mixed precision: `states` kept besides weights of 16 bits (a master copy included).

    `moved` counts what an update reads and writes: gradient in fp32, states both ways, and the weights written back.
    `flops` are those of an update of one parameter. Updates of matrices are made orthogonal in so many `iterations`.
    """

    name: str
    states: float
    moved: float
    flops: float
    source: str
    iterations: int = 0

    def states_beside(self, weights: DType) -> float:
        """Bytes a parameter kept besides weights of this format, which in fp32 are their own master copy."""
        return max(0.0, self.states - (MASTER if weights.name == "fp32" else 0.0))

    def moved_beside(self, weights: DType) -> float:
        """Bytes a parameter that an update reads and writes; weights in fp32 are updated in place of a copy."""
        if weights.name == "fp32":
            return self.moved - HALF
        return self.moved - HALF + weights.bytes


ADAM = Optimizer(
    "adam", 12.0, 30.0, 12.0, "Kingma and Ba, arXiv:1412.6980: fp32 master copy and two moments, fp32 gradients"
)

# On devices that keep nothing but weights: new ones are only written.
STATELESS = Optimizer("stateless", 0.0, HALF, 0.0, "weights are updated elsewhere, or in place")

OPTIMIZERS: dict[str, Optimizer] = {
    o.name: o
    for o in (
        ADAM,
        Optimizer("sgd", 4.0, 14.0, 2.0, "fp32 master copy, no momentum"),
        Optimizer("momentum", 8.0, 22.0, 4.0, "fp32 master copy and momentum"),
        Optimizer(
            "adafactor", 4.0, 22.0, 12.0,
            "Shazeer and Stern, arXiv:1804.04235: row and column sums in place of the second moment, no momentum",
        ),
        Optimizer("adam-8bit", 6.0, 18.0, 16.0, "Dettmers et al., arXiv:2110.02861: both moments in 8 bits"),
        Optimizer(
            "muon", 8.0, 22.0, 4.0,
            "Jordan et al., 2024, Muon: fp32 master copy and momentum, five Newton-Schulz iterations a matrix",
            iterations=5,
        ),
    )
}  # fmt: skip


def optimizer(name: str) -> Optimizer:
    """The optimiser of this name. Raises `InputError` if there is none."""
    if name not in OPTIMIZERS:
        raise unknown_name("optimizer", name, OPTIMIZERS)
    return OPTIMIZERS[name]


def adam_in(*, master: DType | None, first: DType, second: DType, gradients: DType, weights: DType) -> Optimizer:
    """Adam with its states in these formats; without a `master` copy weights are updated as they are stored.

    COAT (arXiv:2410.19313, section 4) keeps both moments in FP8 with a scale for each group of 128. Moments narrower
    than fp32 are converted as they are read and written. Weights in fp32 are their own master copy.
    """
    master = weights if weights.name == "fp32" else master
    states = first.bytes + second.bytes + (0.0 if master is None else master.bytes)
    moved = gradients.bytes + 2.0 * states + HALF + (weights.bytes if master is None else 0.0)
    converted = sum(8.0 for d in (first, second) if d.bytes < MASTER)
    return Optimizer("adam", states, moved, 12.0 + converted, "Kingma and Ba, arXiv:1412.6980, formats as given")
