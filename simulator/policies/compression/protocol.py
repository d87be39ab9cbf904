"""What a compression policy decides: the operators and collectives that reduce a gradient over the replicas."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from simulator.workloads.operators import AnyOperator, Collective


@dataclass(frozen=True, slots=True)
class Gradient:
    """What there is to reduce: `elements` of `bytes_each`, which are matrices of (rows, columns, how many)."""

    elements: float
    bytes_each: float
    matrices: tuple[tuple[float, float, float], ...]


@dataclass(frozen=True, slots=True)
class Reduction:
    """Operators before the links are used, the collectives one after the other, and operators after them."""

    before: tuple[AnyOperator, ...]
    links: tuple[Collective, ...]
    after: tuple[AnyOperator, ...]


class Compression(Protocol):
    """Reduces gradients over `world` replicas that are `stride` devices apart.

    During the share `warm_up` of a run's steps gradients are reduced uncompressed. `state` bytes a parameter are kept
    from step to step (what was not sent).
    """

    @property
    def name(self) -> str: ...

    @property
    def warm_up(self) -> float: ...

    @property
    def state(self) -> float: ...

    def reduction(self, gradient: Gradient, world: int, stride: int) -> Reduction:
        """Operators and collectives on one device; `message` as `Collective` counts it."""
        ...
