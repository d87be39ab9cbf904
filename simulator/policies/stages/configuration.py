"""Which configuration of a model a stage runs for an item: input size, depth, number of proposals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from simulator.policies.stages.views import ItemView


@dataclass(frozen=True, slots=True)
class Configuration:
    """A way to run a stage: its seconds alone, and its accuracy in any unit in which more is better.

    `loading` seconds come before them where another configuration is in memory.
    """

    name: str
    seconds: float
    accuracy: float
    loading: float = 0.0


class Configurator(Protocol):
    """Chooses one of several configurations."""

    def choose(self, item: ItemView, known: Sequence[Configuration], slowdown: float, now: float) -> int:
        """The index of one; `slowdown` is how many times longer than alone runs have taken of late (contention)."""
        ...


class Fixed:
    """Always the configuration of this `name`."""

    def __init__(self, *, name: str) -> None:
        self._name = name

    def choose(self, item: ItemView, known: Sequence[Configuration], slowdown: float, now: float) -> int:
        names = [c.name for c in known]
        if self._name not in names:
            raise ValueError(f"there is no configuration {self._name}: choose one of {', '.join(names)}")
        return names.index(self._name)


class MeetDeadline:
    """The most accurate one that is done by the item's deadline under the contention of late, else the quickest.

    Loading is left out of account, as it is paid once and the choice mostly lasts for many items.
    `safety` is the share of the time left that may be used (ApproxDet, arXiv:2010.10754, chooses by a predicted latency
    that takes content and contention into account).
    """

    def __init__(self, *, safety: float = 1.0) -> None:
        if not 0 < safety <= 1:
            raise ValueError(f"safety is {safety}: give a share above 0 and at most 1")
        self._safety = safety

    def choose(self, item: ItemView, known: Sequence[Configuration], slowdown: float, now: float) -> int:
        left = (item.deadline - now) * self._safety
        fits = [i for i, c in enumerate(known) if c.seconds * slowdown <= left]
        if not fits:
            return min(range(len(known)), key=lambda i: known[i].seconds)
        return max(fits, key=lambda i: (known[i].accuracy, -known[i].seconds))
