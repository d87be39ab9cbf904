"""Where an item goes next: fixed, by chance, by its attributes, every n-th, or by what is waiting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

from simulator.policies.stages.views import ItemView, PipelineView, attribute

DROP = "drop"
DONE = "done"


class NextStage(Protocol):
    """Chooses among `targets`: names of stages, "done" (the item is complete) and "drop"."""

    @property
    def targets(self) -> Sequence[str]: ...

    def choose(self, item: ItemView, view: PipelineView) -> Sequence[str]:
        """One name, or several, to each of which a copy of the item goes."""
        ...


class Always:
    """To the same places every time; several are parallel branches."""

    def __init__(self, *, to: Sequence[str]) -> None:
        self.targets = tuple(to)

    def choose(self, item: ItemView, view: PipelineView) -> Sequence[str]:
        return self.targets


class Probabilistic:
    """By chance: `weights` of places, in any unit."""

    def __init__(self, *, weights: Mapping[str, float], rng: np.random.Generator) -> None:
        if not weights or min(weights.values()) < 0 or sum(weights.values()) <= 0:
            raise ValueError("weights are not negative and not all 0")
        self.targets = tuple(weights)
        self._ends = np.cumsum(list(weights.values())) / sum(weights.values())
        self._rng = rng

    def choose(self, item: ItemView, view: PipelineView) -> Sequence[str]:
        at = int(np.searchsorted(self._ends, self._rng.random(), side="right"))
        return (self.targets[min(at, len(self.targets) - 1)],)


class ByThreshold:
    """To `above` where an attribute is over the `limit`, else to `below`: early exits and cascades by confidence."""

    def __init__(self, *, attribute: str, limit: float, above: str, below: str) -> None:
        self.targets = (below, above)
        self._attribute, self._limit = attribute, limit

    def choose(self, item: ItemView, view: PipelineView) -> Sequence[str]:
        return (self.targets[attribute(item, self._attribute) > self._limit],)


class ByClass:
    """By an attribute that is a class: `cases` give a place for each value, `otherwise` for all others."""

    def __init__(self, *, attribute: str, cases: Mapping[float, str], otherwise: str = DONE) -> None:
        self.targets = (*cases.values(), otherwise)
        self._attribute, self._otherwise = attribute, otherwise
        self._cases = {float(k): v for k, v in cases.items()}

    def choose(self, item: ItemView, view: PipelineView) -> Sequence[str]:
        return (self._cases.get(attribute(item, self._attribute), self._otherwise),)


class EveryNth:
    """The first of every `n` items to `to`, those between to `between`: a tracker between detections."""

    def __init__(self, *, n: int, to: str, between: str) -> None:
        if n < 1:
            raise ValueError(f"n is {n}: give at least 1")
        self.targets = (to, between)
        self._n, self._seen = n, 0

    def choose(self, item: ItemView, view: PipelineView) -> Sequence[str]:
        self._seen += 1
        return (self.targets[(self._seen - 1) % self._n != 0],)


class Fastest:
    """To the first stage of the path with the least delay at this moment: offload when the queue or the link says so.

    `paths` are lists of stages; the delay of a path is the sum of what its stages would take with those before.
    """

    def __init__(self, *, paths: Sequence[Sequence[str]]) -> None:
        if not paths or not all(paths):
            raise ValueError("paths are lists of stages, none of them empty")
        self.targets = tuple(path[0] for path in paths)
        self.stages = tuple(stage for path in paths for stage in path)
        self._paths = paths

    def choose(self, item: ItemView, view: PipelineView) -> Sequence[str]:
        best = min(self._paths, key=lambda path: sum(view.delay_s(stage, item) for stage in path))
        return (best[0],)


class ByQueue:
    """To `to` as long as fewer than `limit` items are there, else to `otherwise`."""

    def __init__(self, *, to: str, limit: int, otherwise: str) -> None:
        self.targets = (to, otherwise)
        self._limit = limit

    def choose(self, item: ItemView, view: PipelineView) -> Sequence[str]:
        return (self.targets[view.waiting(self.targets[0]) >= self._limit],)


class AdaptiveRate:
    """Frame-rate adaptation: every n-th frame goes on to `to`, the others are dropped.

    n doubles when a frame is due and more than `most` items are at the stage, and falls by one after `calm` frames
    with none waiting there: multiplicative decrease and additive increase of the rate, as in TCP.
    """

    def __init__(self, *, to: str, most: int = 2, calm: int = 8, slowest: int = 64) -> None:
        self.targets = (to, DROP)
        self._most, self._calm, self._slowest = most, calm, slowest
        self._n, self._since, self._quiet = 1, 0, 0

    def choose(self, item: ItemView, view: PipelineView) -> Sequence[str]:
        waiting = view.waiting(self.targets[0])
        self._since += 1
        self._quiet = self._quiet + 1 if waiting <= 1 else 0
        due = self._since >= self._n
        if due and waiting > self._most:
            self._n, self._since = min(2 * self._n, self._slowest), 0
            return (DROP,)
        if self._quiet >= self._calm:
            self._n, self._quiet = max(self._n - 1, 1), 0
        if not due:
            return (DROP,)
        self._since = 0
        return (self.targets[0],)
