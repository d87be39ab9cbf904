"""Local steps between exchanges: local SGD, DiLoCo, and DiLoCo in fragments."""

from __future__ import annotations

from simulator.policies.synchronisation.exchange import BACKWARD, Exchange, above_zero, at_least_one


class LocalSgd:
    """`steps` local steps, then all wait for the mean parameters, in `bits` bits each (Stich, arXiv:1805.09767)."""

    def __init__(self, steps: int = 100, bits: float = 32.0) -> None:
        self.period = at_least_one("steps", steps)
        self.bits = above_zero("bits", bits)

    def exchanges(self) -> tuple[Exchange, ...]:
        return (Exchange(self.period, self.period, 1.0, self.bits, False),)


class DiLoCo:
    """As local SGD, the mean change being the gradient of an outer optimiser (Douillard et al., arXiv:2311.08105)."""

    def __init__(self, steps: int = 500, bits: float = 32.0) -> None:
        self.period = at_least_one("steps", steps)
        self.bits = above_zero("bits", bits)

    def exchanges(self) -> tuple[Exchange, ...]:
        return (Exchange(self.period, self.period, 1.0, self.bits, True),)


class StreamingDiLoCo:
    """Fragments of the model take turns, each every `steps` steps, and arrive up to `overlap` steps later.

    Outer gradients are sent in `bits` bits (Douillard et al., arXiv:2501.18512, sections 2.2 to 2.4). With
    `in_backward` a fragment's layers leave one by one in the backward pass of its last local step, as in the authors'
    estimates of bandwidth; else once that step is over.
    """

    def __init__(
        self, steps: int = 100, fragments: int = 8, overlap: int = 5, bits: float = 4.0, in_backward: bool = False
    ) -> None:
        self.period = at_least_one("steps", steps)
        self.fragments = at_least_one("fragments", fragments)
        if fragments > steps or not 0 <= overlap <= steps:
            raise ValueError(f"fragments {fragments} and overlap {overlap} have to be within the {steps} steps")
        self.overlap = overlap
        self.bits = above_zero("bits", bits)
        self.early = BACKWARD if in_backward else 0.0

    def exchanges(self) -> tuple[Exchange, ...]:
        ends = [round((f + 1) * self.period / self.fragments) for f in range(self.fragments)]
        share = 1.0 / self.fragments
        return tuple(Exchange(end - self.early, end + self.overlap, share, self.bits, True) for end in ends)
