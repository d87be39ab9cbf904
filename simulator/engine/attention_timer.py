"""Seconds of attention in one iteration, quick enough to ask for at every event.

Decoding is tabulated: for each number of sequences the timing law is taken at knots of the mean context, four an
octave, and is straight in between. A run of steps then needs one product and one sum a step, and gives the
same bits as asking step by step.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from simulator.hardware.attention_kernel import AttentionKernel
from simulator.hardware.kernels.attention import Work

Floats = NDArray[np.float64]
KNOTS: Floats = np.concatenate([[0.0], 2.0 ** (np.arange(0, 24 * 4 + 1) / 4.0)])


@dataclass(frozen=True, slots=True)
class _Segments:
    """A piecewise straight function: from `edges[i]` on it is slopes[i] x + offsets[i]."""

    edges: list[float]
    slopes: list[float]
    offsets: list[float]

    def at(self, x: float) -> float:
        i = bisect_right(self.edges, x) - 1
        return self.slopes[i] * x + self.offsets[i]

    def along(self, x: Floats, start: float, end: float) -> Floats:
        """The same at the rising numbers of an array, from `start` to `end`; overwrites the array."""
        first = last = bisect_right(self.edges, start) - 1
        if end >= self.edges[first + 1]:
            last = bisect_right(self.edges, end) - 1
        if first == last:
            x *= self.slopes[first]
            x += self.offsets[first]
            return x
        parts = []
        start = 0
        for i in range(first, last + 1):
            stop = len(x) if i == last else int(x.searchsorted(self.edges[i + 1], side="left"))
            parts.append(x[start:stop] * self.slopes[i] + self.offsets[i])
            start = stop
        return np.concatenate(parts)


class DecodeLayer(Protocol):
    """Decode attention of one layer done otherwise than by the device's own kernel over all that is attended."""

    def seconds(self, sequences: float, attended: Floats) -> Floats:
        """Seconds for `sequences` that attend to so many tokens in all (any shape)."""
        ...


@dataclass(slots=True)
class AttentionPiece:
    """The attention of `count` equal layers of one stage; a device does `share` of a data-parallel replica's.

    `decode_layer` stands in for the kernel in decoding, which then shares no kernel with prompts.
    """

    span: int
    kernel: AttentionKernel
    count: int
    share: float
    decode_layer: DecodeLayer | None = None
    _tables: dict[int, _Segments] = field(default_factory=dict)

    def prompts(self, work: Work) -> float:
        """Seconds for prompt chunks alone."""
        return self.count * self.kernel.seconds(work.times(self.share))

    def decoding(self, sequences: int, attended: float) -> float:
        """Seconds for so many sequences that attend to so many tokens in all."""
        return (self._tables.get(sequences) or self._table(sequences)).at(attended)

    def decode_run(self, sequences: int, attended: Floats, start: float, end: float) -> Floats:
        """Seconds for each of the totals of attended tokens, rising from `start` to `end`; overwrites the array."""
        table = self._tables.get(sequences) or self._table(sequences)
        return table.along(attended, start, end)

    def mixed(self, work: Work, sequences: int, attended: float) -> float:
        """Seconds for prompt chunks together with decoding sequences."""
        if not self.kernel.fused or self.decode_layer is not None:
            return self.prompts(work) + self.decoding(sequences, attended)
        share, kernel = self.share, self.kernel
        if share != 1.0:
            work, attended = work.times(share), attended * share
        return self.count * kernel.seconds(kernel.together(work, sequences * share, attended))

    def _table(self, sequences: int) -> _Segments:
        edges = KNOTS * sequences
        if self.decode_layer is not None:
            each = self.decode_layer.seconds(sequences * self.share, edges * self.share)
        else:
            found = self.kernel.decoding(sequences * self.share, edges * self.share)
            each = np.asarray(found.seconds(), dtype=np.float64)
        times = self.count * each
        slopes = np.diff(times) / np.diff(edges)
        offsets = times[:-1] - slopes * edges[:-1]
        table = _Segments([*edges[:-1].tolist(), np.inf], slopes.tolist(), offsets.tolist())
        self._tables[sequences] = table
        return table
