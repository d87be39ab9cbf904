"""How many times longer than usual workers take, round by round: slow devices, jitter, passing slowness."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from simulator.engine.streams import stream

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Static:
    """The first `workers` workers always take `factor` times as long."""

    workers: int
    factor: float


@dataclass(frozen=True, slots=True)
class Jitter:
    """Every worker in every round takes 1 + X times as long, X of mean `mean`, independently.

    `law` is exponential, or lognormal with a deviation of `spread` in the logarithm.
    """

    mean: float
    law: Literal["exponential", "lognormal"] = "exponential"
    spread: float = 1.0


@dataclass(frozen=True, slots=True)
class Transient:
    """A worker turns slow with probability `enter` a round, taking `factor` times as long, and recovers with `leave`.

    The two-state chain of Gilbert and Elliott; workers start in its steady state.
    """

    enter: float
    leave: float
    factor: float


Slowdown = Static | Jitter | Transient


def slowdown_factors(slowdowns: Sequence[Slowdown], rounds: int, workers: int, seed: int) -> Floats:
    """Factors of shape (rounds, workers), the product of all processes; each has a stream of its own."""
    found = np.ones((rounds, workers))
    for number, slowdown in enumerate(slowdowns):
        rng = stream(seed, "slowdowns", number)
        if isinstance(slowdown, Static):
            found[:, : slowdown.workers] *= slowdown.factor
        elif isinstance(slowdown, Jitter):
            found *= 1.0 + _jitter(slowdown, (rounds, workers), rng)
        else:
            found *= np.where(_slow(slowdown, rounds, workers, rng), slowdown.factor, 1.0)
    return found


def _jitter(jitter: Jitter, shape: tuple[int, int], rng: np.random.Generator) -> Floats:
    if jitter.law == "exponential":
        return jitter.mean * rng.standard_exponential(shape)
    return jitter.mean * rng.lognormal(-0.5 * jitter.spread**2, jitter.spread, shape)


def _slow(chain: Transient, rounds: int, workers: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    found = np.empty((rounds, workers), dtype=np.bool_)
    draws = rng.random((rounds, workers))
    found[0] = draws[0] < chain.enter / (chain.enter + chain.leave)
    for n in range(1, rounds):
        found[n] = np.where(found[n - 1], draws[n] >= chain.leave, draws[n] < chain.enter)
    return found
