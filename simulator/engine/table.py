"""Functions of a whole number, such as tokens of an iteration, tabulated as they are asked for."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class Table:
    """A function of a whole number, tabulated in doubling blocks as larger arguments are asked for."""

    def __init__(self, function: Callable[[Floats], Floats], *, first: int = 1024) -> None:
        self._function = function
        self._values: list[float] = []
        self._size = first

    def __getitem__(self, index: int) -> float:
        try:
            return self._values[index]
        except IndexError:
            self._extend(index)
            return self._values[index]

    def _extend(self, index: int) -> None:
        while self._size <= index:
            self._size *= 2
        start = len(self._values)
        self._values += self._function(np.arange(start, self._size, dtype=np.float64)).tolist()

    def many(self, indices: NDArray[np.int64]) -> Floats:
        """Values at an array of indices."""
        if len(indices):
            self[int(indices.max())]
        return np.asarray(self._values, dtype=np.float64)[indices]
