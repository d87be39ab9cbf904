"""Gradient codes: workers compute more than their share, so that the batch's gradient needs only some of them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from simulator.policies.rounds.closing import Closed, Floats, Progress, answered

Booleans = NDArray[np.bool_]


def end_of_round(seconds: Floats, tolerance: float, tolerated: Callable[[Booleans], bool]) -> tuple[float, Booleans]:
    """When a round ends, and who straggles in it.

    A worker straggles that has not answered after (1 + `tolerance`) times the first answer. Where those are not a
    pattern that is `tolerated`, the round waits for one answer after the other until they are.
    """
    order = np.sort(seconds)
    deadline = (1.0 + tolerance) * float(order[0])
    first = int(np.searchsorted(order, deadline, side="right"))
    for end in [min(deadline, float(order[-1])), *order[first:].tolist()]:
        late: Booleans = seconds > end
        if tolerated(late):
            return end, late
    raise ValueError("a code has to tolerate a round without stragglers")


class GradientCoding:
    """Any `stragglers` workers may be missing, at (s + 1) / n of the batch each (Tandon et al., ICML 2017).

    A round ends as soon as that few are missing, or with a `tolerance` as in `end_of_round`.
    """

    delay = 0

    def __init__(self, stragglers: int = 1, tolerance: float | None = None) -> None:
        if stragglers < 0 or (tolerance or 0.0) < 0:
            raise ValueError(f"stragglers {stragglers} and tolerance {tolerance} have to be at least 0")
        self.stragglers, self.tolerance = stragglers, tolerance

    def load(self, workers: int) -> float:
        if self.stragglers >= workers:
            raise ValueError(f"{self.stragglers} stragglers of {workers} workers leave none: take fewer")
        return (self.stragglers + 1) / workers

    def close(self, seconds: Floats, progress: Progress) -> Closed:
        if self.tolerance is None:
            return answered(seconds, seconds.size - self.stragglers)._replace(used=seconds.size)
        end, _ = end_of_round(seconds, self.tolerance, lambda late: int(late.sum()) <= self.stragglers)
        return Closed(end, seconds.size)


class SequentialGradientCoding:
    """Coded and repeated tasks over a window of rounds (M-SGC: Krishnan, Ebrahimi and Khisti, arXiv:2211.13802).

    Tolerates, in every `window` rounds, up to `stragglers` workers that straggle, each for at most `burst` rounds in a
    row; rounds end as in `end_of_round`. Gradients are complete window - 2 + burst rounds later.
    """

    def __init__(self, burst: int = 1, window: int = 2, stragglers: int = 1, tolerance: float = 1.0) -> None:
        if not 0 < burst < window or stragglers < 0 or tolerance < 0:
            raise ValueError("burst has to be above 0 and below window, stragglers and tolerance at least 0")
        self.burst, self.window, self.stragglers, self.tolerance = burst, window, stragglers, tolerance
        self.delay = window - 2 + burst
        self._history: list[Booleans] = []

    def load(self, workers: int) -> float:
        """The normalised load that the paper proves for M-SGC."""
        b, w, s = self.burst, self.window, self.stragglers
        if s > workers:
            raise ValueError(f"{s} stragglers of {workers} workers: take fewer")
        if s == workers:
            return (w - 1 + b) / (workers * (w - 1))
        return (s + 1) * (w - 1 + b) / (workers * (b + (w - 1) * (s + 1)))

    def close(self, seconds: Floats, progress: Progress) -> Closed:
        end, late = end_of_round(seconds, self.tolerance, self._tolerated)
        self._history = [*self._history, late][1 - self.window :]
        return Closed(end, seconds.size)

    def _tolerated(self, late: Booleans) -> bool:
        """Whether the rounds up to this one still are a pattern that the code tolerates."""
        recent = np.array([*self._history, late])
        slow = recent.any(axis=0)
        if int(slow.sum()) > self.stragglers:
            return False
        rows = np.arange(len(recent))[:, None]
        first = np.where(recent, rows, len(recent)).min(axis=0)
        last = np.where(recent, rows, -1).max(axis=0)
        return bool(np.all((last - first + 1)[slow] <= self.burst))
