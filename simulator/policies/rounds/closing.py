"""What a rule of rounds decides: how much each worker computes, and when enough have answered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class Closed(NamedTuple):
    """A round that ended after `seconds` with the gradients of `used` workers' shares of the batch."""

    seconds: float
    used: int


@dataclass(frozen=True, slots=True)
class Progress:
    """Where training stands: the loss above its least (`gap`, 1 at the start).

    A round takes `rate` x gap off and adds `noise` / (gradients used), what stochastic gradients do to a smooth loss
    that meets Polyak's and Lojasiewicz's inequality (Bottou, Curtis and Nocedal, SIAM Review 60(2), 2018, section 4).
    """

    gap: float
    rate: float
    noise: float

    def gain(self, used: int) -> float:
        """What a round with the gradients of `used` workers takes off the gap."""
        return self.rate * self.gap - self.noise / used


class RoundRule(Protocol):
    """Closes the rounds of one run, called in their order. `delay` rounds more are needed to decode the last ones."""

    delay: int

    def load(self, workers: int) -> float:
        """The share of the batch that each worker computes in a round. Raises `ValueError` for too few workers."""
        ...

    def close(self, seconds: Floats, progress: Progress) -> Closed:
        """When the round ends, given when each worker would answer."""
        ...


def answered(seconds: Floats, count: int) -> Closed:
    """The end of a round with the first `count` answers."""
    return Closed(float(np.partition(seconds, count - 1)[count - 1]), count)
