"""Which entry a full cache tier gives up first."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from heapq import heappop, heappush
from typing import Protocol


class Eviction(Protocol):
    """Orders the entries of one tier. `cost` is what recomputing an entry takes per byte, in any one unit."""

    def add(self, key: Hashable, cost: float) -> None:
        """An entry came in."""
        ...

    def hit(self, key: Hashable, cost: float) -> None:
        """An entry was loaded, or came in again."""
        ...

    def pop(self) -> Hashable:
        """Take out the entry to give up next."""
        ...


class Lru:
    """Give up the least recently used entry."""

    def __init__(self) -> None:
        self._order: OrderedDict[Hashable, None] = OrderedDict()

    def add(self, key: Hashable, cost: float) -> None:
        """Put it last in line."""
        self._order[key] = None

    def hit(self, key: Hashable, cost: float) -> None:
        """Put it last in line again."""
        self._order.move_to_end(key)

    def pop(self) -> Hashable:
        """The first in line."""
        return self._order.popitem(last=False)[0]


class Lfu:
    """Give up the least often used entry since it came in; of equals the least recently used.

    Buckets by count, so every move is O(1): Shah, Mitra, Matani, "An O(1) algorithm for implementing the LFU
    cache eviction scheme", 2010.
    """

    def __init__(self) -> None:
        self._count: dict[Hashable, int] = {}
        self._buckets: dict[int, OrderedDict[Hashable, None]] = {}
        self._least = 1

    def add(self, key: Hashable, cost: float) -> None:
        """Count one use."""
        self._count[key] = self._least = 1
        self._buckets.setdefault(1, OrderedDict())[key] = None

    def hit(self, key: Hashable, cost: float) -> None:
        """Count one use more."""
        count = self._count[key]
        self._leave(key, count)
        self._count[key] = count + 1
        self._buckets.setdefault(count + 1, OrderedDict())[key] = None

    def pop(self) -> Hashable:
        """The oldest of the lowest count."""
        while self._least not in self._buckets:
            self._least += 1
        key = next(iter(self._buckets[self._least]))
        self._leave(key, self._count.pop(key))
        return key

    def _leave(self, key: Hashable, count: int) -> None:
        bucket = self._buckets[count]
        del bucket[key]
        if not bucket:
            del self._buckets[count]


class CostAware:
    """Give up the entry whose recomputation costs least a byte, unused ones ageing: GreedyDual-Size.

    An entry's worth is its cost a byte above the worth of what was given up last; it is renewed by a use.
    Cao and Irani, "Cost-aware WWW proxy caching algorithms", USITS 1997, section 4.
    """

    def __init__(self) -> None:
        self._floor = 0.0
        self._worth: dict[Hashable, tuple[float, int]] = {}
        self._heap: list[tuple[float, int, Hashable]] = []
        self._serial = 0

    def add(self, key: Hashable, cost: float) -> None:
        """Its worth is counted from today's floor."""
        self._serial += 1
        self._worth[key] = worth = (self._floor + cost, self._serial)
        heappush(self._heap, (*worth, key))
        if len(self._heap) > 4 * len(self._worth) + 64:
            self._heap = [item for item in self._heap if self._worth.get(item[2]) == item[:2]]
            self._heap.sort()

    def hit(self, key: Hashable, cost: float) -> None:
        """The same as when it comes in."""
        self.add(key, cost)

    def pop(self) -> Hashable:
        """The entry of least worth, which becomes the floor."""
        while True:
            worth, serial, key = heappop(self._heap)
            if self._worth.get(key) == (worth, serial):
                del self._worth[key]
                self._floor = worth
                return key
