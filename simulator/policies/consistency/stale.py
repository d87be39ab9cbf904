"""Workers that go on with weights that others have meanwhile changed: without bound, within one, or by batches."""

from __future__ import annotations


class Asynchronous:
    """Every push updates the model, and nobody waits (Downpour SGD: Dean et al., NIPS 2012, section 4.1)."""

    def gathered(self, workers: int) -> int:
        return 1

    def may_begin(self, ahead: int) -> bool:
        return True


class StaleSynchronous:
    """A worker is at most `staleness` steps ahead of the slowest (Ho et al., NIPS 2013, section 2).

    With 0 steps this is bulk-synchronous training, and gradients are summed to one update.
    """

    def __init__(self, staleness: int = 3) -> None:
        if staleness < 0:
            raise ValueError(f"staleness is {staleness}, and has to be at least 0")
        self.staleness = staleness

    def gathered(self, workers: int) -> int:
        return 1 if self.staleness else workers

    def may_begin(self, ahead: int) -> bool:
        return ahead <= self.staleness


class BatchAsynchronous:
    """The model is updated with every `gradients` pushes, and nobody waits (K-batch-async: arXiv:1803.01113)."""

    def __init__(self, gradients: int = 2) -> None:
        if gradients < 1:
            raise ValueError(f"gradients is {gradients}, and has to be at least 1")
        self.gradients = gradients

    def gathered(self, workers: int) -> int:
        return self.gradients

    def may_begin(self, ahead: int) -> bool:
        return True
