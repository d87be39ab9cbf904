"""When sites that train on their own exchange what of the model."""

from __future__ import annotations

from typing import NamedTuple, Protocol

# The backward pass takes two thirds of a step's work, the forward pass the rest.
BACKWARD = 2.0 / 3.0


class Exchange(NamedTuple):
    """An all-reduce over the sites, in a period of local steps.

    It begins after `after` steps (part steps count) and is waited for after `before`, which may lie in the next
    period; `share` is of the parameters, each sent in `bits` bits. `outer` says that an outer optimiser applies it.
    """

    after: float
    before: float
    share: float
    bits: float
    outer: bool


class Synchronisation(Protocol):
    """Plans the exchanges of a period of `period` local steps."""

    period: int

    def exchanges(self) -> tuple[Exchange, ...]:
        """The exchanges of one period, in the order in which they begin."""
        ...


def at_least_one(name: str, value: int) -> int:
    """The value. Raises `ValueError` naming it if it is below 1 or no whole number."""
    if value < 1 or value != int(value):
        raise ValueError(f"{name} is {value}, and has to be a whole number of at least 1")
    return int(value)


def above_zero(name: str, value: float) -> float:
    """The value. Raises `ValueError` naming it if it is not above 0."""
    if not value > 0.0:
        raise ValueError(f"{name} is {value}, and has to be above 0")
    return value
