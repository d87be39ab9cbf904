"""What a path policy is asked, and what it may look at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray


class Demand(NamedTuple):
    """`size` bytes from one device to another."""

    source: int
    target: int
    size: float


class Share(NamedTuple):
    """The path of this number carries this share of a demand."""

    path: int
    share: float


class Paths(Protocol):
    """The shortest paths between devices, by number."""

    @property
    def capacity(self) -> NDArray[np.float64]:
        """Bytes/s of every link."""

    def count(self, source: int, target: int) -> int:
        """How many paths there are."""

    def links(self, source: int, target: int, number: int) -> tuple[int, ...]:
        """The links of one of them."""

    def ends(self, source: int, target: int) -> tuple[int, int]:
        """The routers that they lead from and to: demands between the same two have the same paths."""


class PathPolicy(Protocol):
    """Places demands that begin together."""

    def choose(self, demands: Sequence[Demand], paths: Paths) -> list[tuple[Share, ...]]:
        """For each demand, the paths that it takes and their shares, which add up to 1."""
