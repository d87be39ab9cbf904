"""Rounds that wait for all workers, or for all but the slowest few."""

from __future__ import annotations

import numpy as np

from simulator.policies.rounds.closing import Closed, Floats, Progress, answered


class WaitForAll:
    """A round ends with the last answer."""

    delay = 0

    def load(self, workers: int) -> float:
        return 1.0 / workers

    def close(self, seconds: Floats, progress: Progress) -> Closed:
        return answered(seconds, seconds.size)


class BackupWorkers:
    """The last `workers` answers are dropped (Chen et al., arXiv:1604.00981)."""

    delay = 0

    def __init__(self, workers: int = 1) -> None:
        if workers < 0:
            raise ValueError(f"workers is {workers}, and has to be at least 0")
        self.workers = workers

    def load(self, workers: int) -> float:
        if self.workers >= workers:
            raise ValueError(f"{self.workers} backup workers of {workers} leave none: take fewer")
        return 1.0 / workers

    def close(self, seconds: Floats, progress: Progress) -> Closed:
        return answered(seconds, seconds.size - self.workers)


class DynamicBackupWorkers:
    """Waits for as many answers as gain most a second (DBW: Xu et al., arXiv:2004.14696).

    The time of the k-th answer is its mean over the last `window` rounds, late answers included; the first round waits
    for all. Where no number of answers gains anything, all are waited for.
    """

    delay = 0

    def __init__(self, window: int = 20) -> None:
        if window < 1:
            raise ValueError(f"window is {window}, and has to be at least 1")
        self.window = window
        self._seen: list[Floats] = []

    def load(self, workers: int) -> float:
        return 1.0 / workers

    def close(self, seconds: Floats, progress: Progress) -> Closed:
        count = self._best(seconds.size, progress)
        self._seen = [*self._seen[1 - self.window :], np.sort(seconds)] if self.window > 1 else [np.sort(seconds)]
        return answered(seconds, count)

    def _best(self, workers: int, progress: Progress) -> int:
        if not self._seen:
            return workers
        expected = np.mean(self._seen, axis=0)
        gains = np.array([progress.gain(k) for k in range(1, workers + 1)])
        return int(np.argmax(gains / expected)) + 1 if gains.max() > 0 else workers
