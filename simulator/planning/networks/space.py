"""The candidates of a search: choices for fields of a scenario, drawn or listed in full."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from itertools import product
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.engine.streams import stream

Choices = NDArray[np.int64]


@dataclass(frozen=True)
class Space:
    """`choices` lists the values of each field by its dotted name, as in {"options.width": [0.5, 1.0]}."""

    choices: Mapping[str, Sequence[Any]]

    @cached_property
    def names(self) -> tuple[str, ...]:
        return tuple(self.choices)

    @cached_property
    def size(self) -> int:
        """Candidates in all."""
        return prod(len(values) for values in self.choices.values())

    def candidates(self, most: int, seed: int) -> Choices:
        """Places of the chosen values, shape (candidates, fields): all of them, or `most` different ones at random."""
        sizes = [len(values) for values in self.choices.values()]
        if self.size <= most:
            return np.indices(sizes).reshape(len(sizes), -1).T
        rng = stream(seed, "networks")
        found = np.unique(rng.integers(0, sizes, size=(most, len(sizes))), axis=0)
        while len(found) < most:
            more = rng.integers(0, sizes, size=(most, len(sizes)))
            found = np.unique(np.concatenate([found, more]), axis=0)
            found = found[np.sort(rng.permutation(len(found))[:most])]
        return np.asarray(found)

    def values(self, name: str, chosen: Choices) -> NDArray[Any]:
        """The values of a field for candidates of these places."""
        values = self.choices[name]
        made = np.empty(len(values), dtype=object)
        made[:] = list(values)
        plain = all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)
        return (np.array(values) if plain else made)[chosen[:, self.names.index(name)]]

    def groups(
        self, chosen: Choices, side_by_side: Sequence[str]
    ) -> Iterator[tuple[NDArray[np.int64], dict[str, Any]]]:
        """Candidates that differ only in fields that can be arrays, and the fields' values: arrays, or one for all.

        `side_by_side` are patterns of names whose numbers may be arrays over candidates.
        """
        apart = [n for n in self.names if not self._array(n, side_by_side)]
        columns = [self.names.index(n) for n in apart]
        for places in product(*(range(len(self.choices[n])) for n in apart)):
            rows = np.flatnonzero((chosen[:, columns] == np.array(places, dtype=np.int64)).all(axis=1))
            if len(rows):
                fixed = {n: self.choices[n][place] for n, place in zip(apart, places, strict=True)}
                arrays = {n: self.values(n, chosen[rows]) for n in self.names if n not in fixed}
                yield rows, {n: fixed.get(n, arrays.get(n)) for n in self.names}

    def _array(self, name: str, patterns: Sequence[str]) -> bool:
        numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in self.choices[name])
        return numbers and any(fnmatchcase(name, pattern) for pattern in patterns)
