"""Iterations that are decided on together, and a part of a device that runs them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from simulator.engine.chunks import Chunks
from simulator.engine.finetuning_progress import Portion
from simulator.policies.batching.state import Batch

Floats = NDArray[np.float64]


@dataclass(slots=True)
class Run:
    """Iterations decided on together: `ends` are the absolute times at which each ends, `durations` their lengths."""

    batch: Batch
    start: float
    ends: Floats | list[float]
    durations: Floats
    decoding: int
    contexts: list[tuple[int, int]]
    chunks: Chunks
    steps: int = 1
    interrupted: bool = False
    portion: Portion | None = None

    def cut(self, now: float) -> None:
        """Keep only the steps up to the first that ends at `now` or later."""
        self.steps = int(np.searchsorted(self.ends, now, side="left")) + 1
        self.ends = self.ends[: self.steps]
        self.durations = self.durations[: self.steps]

    def split(self, steps: int) -> Run:
        """Take the first `steps` decode steps, fewer than all, off this run and return them as one of their own."""
        first = Run(
            self.batch, self.start, self.ends[:steps], self.durations[:steps], self.decoding, self.contexts,
            self.chunks, steps,
        )  # fmt: skip
        self.start = float(self.ends[steps - 1])
        self.ends, self.durations, self.steps = self.ends[steps:], self.durations[steps:], self.steps - steps
        return first


class DevicePart(Protocol):
    """A part of a device whose other part runs another lane; it knows when a step ends."""

    def begin(self, run: Run) -> None:
        """A step begins; its end is set (`Lane.end_at`)."""
        ...

    def ended(self, run: Run) -> None:
        """The step has ended."""
        ...

    def rest(self) -> None:
        """There is nothing to do now."""
        ...
