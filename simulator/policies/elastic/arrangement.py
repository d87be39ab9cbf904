"""What a response to lost workers decides: who goes on, with which micro-batches and layers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Alive = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Arrangement:
    """How a step runs on the workers that are left.

    `batch` is the share of the global batch that a step trains on; `load` tells of each stage how many micro-batches
    its busiest worker runs, relative to those of a whole cluster; `layers` how many layers each stage holds.
    `scattered` says that the stage's gradients of weights may run apart, in bubbles.
    """

    batch: float
    load: tuple[float, ...]
    layers: tuple[int, ...]
    scattered: bool = False


class Elastic(Protocol):
    """Arranges a step on what is left. `keeps_state` says that no work before the last whole step is lost."""

    keeps_state: bool

    def arrange(self, alive: Alive, layers: tuple[int, ...]) -> Arrangement | None:
        """The step on the workers of `alive`, shape (data, pipeline); `layers` are those of whole stages.

        None where too little is left: the job then waits for nodes.
        """
        ...


def whole(alive: Alive, layers: tuple[int, ...]) -> Arrangement:
    """The arrangement of a whole cluster."""
    return Arrangement(1.0, (1.0,) * alive.shape[1], layers)
