"""What sequences of any lengths take on any number of ranks, by a few simulated micro-batches of each number."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
# Seconds of the passes of one micro-batch: those of attention, and of all else.
Simulated = Callable[[tuple[int, ...], int], tuple[float, float]]
SHORTEST = 128
STEP = 2.0  # from one simulated length to the next


@dataclass(frozen=True, slots=True)
class Rank:
    """Costs on one number of ranks: `fixed` seconds, `token` for each, and attention of a sequence by its length."""

    fixed: float
    token: float
    lengths: Floats
    attention_per_token: Floats

    def sequence(self, length: float) -> float:
        """Seconds that a sequence adds; attention a token is interpolated, which for a quadratic law is exact."""
        each = self.token + float(np.interp(length, self.lengths, self.attention_per_token))
        return each * length


@dataclass(frozen=True)
class Costs:
    """Sums of what each sequence adds; micro-batches of up to `longest` tokens on a number of ranks are simulated."""

    simulated: Simulated
    longest: Callable[[int], int]
    _ranks: dict[int, Rank] = field(default_factory=dict, repr=False)
    _added: dict[tuple[int, int], float] = field(default_factory=dict, repr=False)

    def seconds(self, lengths: Sequence[int], ranks: int) -> float:
        """Seconds of a micro-batch's passes."""
        return self.on(ranks).fixed + sum(self.added(n, ranks) for n in lengths)

    def fixed(self, ranks: int) -> float:
        """Seconds that do not depend on the sequences."""
        return self.on(ranks).fixed

    def added(self, length: int, ranks: int) -> float:
        key = (length, ranks)
        if key not in self._added:
            self._added[key] = self.on(ranks).sequence(length)
        return self._added[key]

    def on(self, ranks: int) -> Rank:
        """The costs on so many ranks."""
        if ranks not in self._ranks:
            self._ranks[ranks] = self._fitted(ranks)
        return self._ranks[ranks]

    def _fitted(self, ranks: int) -> Rank:
        most = max(2 * SHORTEST, self.longest(ranks))
        count = max(2, int(np.ceil(np.log(most / SHORTEST) / np.log(STEP))) + 1)
        lengths = np.unique(np.geomspace(SHORTEST, most, count).astype(int))
        attention = [self.simulated((int(n),), ranks)[0] / n for n in lengths]
        half, whole = (self.simulated((n,), ranks)[1] for n in (most // 2, most))
        token = (whole - half) / (most - most // 2)
        return Rank(max(0.0, whole - token * most), token, lengths.astype(np.float64), np.array(attention))
