"""Seeded chance by request and output position, so that the order of iterations cannot change what is drawn."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from simulator.policies.sequence import Sequence

Streams = Callable[[str], np.random.Generator]
REQUESTS = 4096  # requests whose draws are remembered; others are drawn again, to the same numbers


class PositionDraws:
    """One number in [0, 1) for each output position of a request, from the request's own stream under `name`.

    A position beyond the output (a draft that overshoots it by up to `beyond`) has one too.
    """

    def __init__(self, streams: Streams, name: str, *, beyond: int = 0) -> None:
        self._of = lru_cache(REQUESTS)(
            lambda index, output: streams(f"{name} {index}").random(output + beyond)  # a longer array starts alike
        )

    def of(self, sequence: Sequence) -> NDArray[np.float64]:
        """The numbers of a request by output position, counted from 0."""
        numbers: NDArray[np.float64] = self._of(sequence.index, sequence.output_tokens)
        return numbers
