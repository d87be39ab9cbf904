"""Which values the points of a sweep have: all combinations, or a sample of them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.engine.streams import stream
from simulator.errors import InputError
from simulator.sweeping.spec import MOST_POINTS, Range, SweepSpec

Settings = dict[str, Any]


@dataclass(frozen=True)
class Axis:
    """Fields that change together: `choices` has a tuple of their values each, or is a range for the one field."""

    fields: tuple[str, ...]
    choices: tuple[tuple[Any, ...], ...] | Range

    def values(self) -> tuple[tuple[Any, ...], ...]:
        """The values that a grid takes."""
        return tuple((x,) for x in _spaced(self.choices)) if isinstance(self.choices, Range) else self.choices

    def at(self, share: float) -> tuple[Any, ...]:
        """The values at a share from 0 up to 1 of the way; each of a list has an equal part of the way."""
        if isinstance(self.choices, Range):
            return (_between(self.choices, share),)
        return self.choices[min(int(share * len(self.choices)), len(self.choices) - 1)]


def axes(spec: SweepSpec) -> list[Axis]:
    """The axes of a sweep in the order of its file: `vary`, then `together`."""
    found = [
        Axis((name,), values if isinstance(values, Range) else tuple((v,) for v in values))
        for name, values in spec.vary.items()
    ]
    return found + [Axis(tuple(group), tuple(zip(*group.values(), strict=True))) for group in spec.together]


def design(spec: SweepSpec) -> Iterator[Settings]:
    """The settings of each point in order; in a grid the last axis changes fastest.

    Raises `InputError` for a grid of more than a million points.
    """
    along = axes(spec)
    if spec.sampling.method == "grid":
        lists = [axis.values() for axis in along]
        size = math.prod(map(len, lists))
        if size > MOST_POINTS:
            raise InputError(f"a grid of {size:,} points is over {MOST_POINTS:,}: give fewer values, or sample it")
        for chosen in itertools.product(*lists):
            yield _settings(along, chosen)
        return
    for shares in _sample(spec, len(along)):
        yield _settings(along, [axis.at(float(share)) for axis, share in zip(along, shares, strict=True)])


def _settings(along: list[Axis], chosen: Any) -> Settings:
    return {f: v for axis, values in zip(along, chosen, strict=True) for f, v in zip(axis.fields, values, strict=True)}


def _sample(spec: SweepSpec, dimensions: int) -> NDArray[np.float64]:
    """Points of the unit cube, shape (points, dimensions)."""
    count, random = spec.sampling.points or 0, stream(spec.sampling.seed, "sweep")
    if spec.sampling.method == "random":
        return random.random((count, dimensions))
    from scipy.stats.qmc import LatinHypercube

    return np.asarray(LatinHypercube(dimensions, seed=random).random(count))


def _spaced(numbers: Range) -> list[float | int]:
    space = np.geomspace if numbers.log else np.linspace
    found = space(numbers.least, numbers.most, numbers.steps or 2).tolist()
    return list(dict.fromkeys(round(x) for x in found)) if numbers.integer else found


def _between(numbers: Range, share: float) -> float | int:
    # Whole numbers have equal parts of the way, the last one too.
    end = numbers.most + 1 if numbers.integer else numbers.most
    if numbers.log:
        found = math.exp(math.log(numbers.least) + share * math.log(end / numbers.least))
    else:
        found = numbers.least + share * (end - numbers.least)
    return min(max(math.floor(found), int(numbers.least)), int(numbers.most)) if numbers.integer else found
