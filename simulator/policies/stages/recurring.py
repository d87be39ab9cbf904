"""Where an item goes next by what went before: results that are kept for inputs seen before, and loops."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Sequence

from simulator.policies.stages.routing import DONE
from simulator.policies.stages.views import ItemView, PipelineView, attribute


class Remembered:
    """To `known` if an item with the same `attribute` came before, else to `to`; a cache of results.

    `capacity` inputs are remembered (None: all), those that came last; the cache of Kinnas et al., arXiv:2412.01039,
    is keyed by a hash of the image.
    """

    def __init__(self, *, attribute: str, to: str, known: str = DONE, capacity: int | None = None) -> None:
        if capacity is not None and capacity < 1:
            raise ValueError(f"capacity is {capacity}: give at least 1, or leave it out")
        self.targets = (to, known)
        self._attribute, self._capacity = attribute, capacity
        self._seen: OrderedDict[float, None] = OrderedDict()

    def choose(self, item: ItemView, view: PipelineView) -> Sequence[str]:
        key = attribute(item, self._attribute)
        hit = key in self._seen
        self._seen[key] = None
        self._seen.move_to_end(key)
        if self._capacity is not None and len(self._seen) > self._capacity:
            self._seen.popitem(last=False)
        return (self.targets[hit],)


class Repeat:
    """Back to `to` until an item has been here `times` times, then on to `then`: steps of a diffusion model."""

    def __init__(self, *, to: str, times: int, then: str = DONE) -> None:
        if times < 1:
            raise ValueError(f"times is {times}: give at least 1")
        self.targets = (to, then)
        self._times = times
        self._been: Counter[int] = Counter()

    def choose(self, item: ItemView, view: PipelineView) -> Sequence[str]:
        self._been[item.number] += 1
        if self._been[item.number] < self._times:
            return self.targets[:1]
        del self._been[item.number]
        return self.targets[1:]
