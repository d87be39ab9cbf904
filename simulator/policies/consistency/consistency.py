"""What a consistency model decides for workers that push gradients to a server and pull weights from it."""

from __future__ import annotations

from typing import Protocol


class Consistency(Protocol):
    """The consistency model of a parameter server (Li et al., OSDI 2014, section 3.5).

    A step of a worker is done when the server has taken in what it pushed.
    """

    def gathered(self, workers: int) -> int:
        """How many pushes are summed for one update of the model. Raises `ValueError` for too few workers."""
        ...

    def may_begin(self, ahead: int) -> bool:
        """Whether a worker that has done `ahead` steps more than the slowest may pull weights and begin another.

        Without it the worker waits, and is asked about again when the slowest has done a step.
        """
        ...
