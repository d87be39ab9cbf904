"""Sequences that wait, by adapter, and what of them a lane may admit."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from heapq import heappop, heappush

from simulator.policies.sequence import Sequence

Place = tuple[int, Sequence]


class AdapterQueue:
    """All waiting sequences of a replica in one order, kept by adapter. Each gets a place, older ones a lower one."""

    def __init__(self) -> None:
        self._by_adapter: dict[int, deque[Place]] = {}
        self._first = 0
        self.next_place = 1
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Sequence]:
        """All that wait, in no order."""
        for places in self._by_adapter.values():
            for _, sequence in places:
                yield sequence

    def __getitem__(self, index: int, /) -> Sequence:
        """The oldest; only index 0 is kept in order."""
        if index or not self._count:
            raise IndexError("a queue by adapter has a head and no other place")
        return min(self._by_adapter.values(), key=lambda places: places[0][0])[0][1]

    def append(self, sequence: Sequence, /) -> None:
        """Let a sequence arrive."""
        self._by_adapter.setdefault(sequence.adapter, deque()).append((self.next_place, sequence))
        self.next_place += 1
        self._count += 1

    def appendleft(self, sequence: Sequence, /) -> None:
        """Put a preempted sequence before all others."""
        self._by_adapter.setdefault(sequence.adapter, deque()).appendleft((self._first, sequence))
        self._first -= 1
        self._count += 1

    def popleft(self) -> Sequence:
        """Take out the oldest."""
        return self.take(self[0].adapter)

    def take(self, adapter: int) -> Sequence:
        """Take out the oldest of an adapter."""
        places = self._by_adapter[adapter]
        _, sequence = places.popleft()
        if not places:
            del self._by_adapter[adapter]
        self._count -= 1
        return sequence

    def oldest(self) -> list[Place]:
        """The oldest sequence of each adapter, the oldest of all first."""
        return sorted((places[0] for places in self._by_adapter.values()), key=lambda place: place[0])

    def head(self, adapter: int) -> Place | None:
        """The oldest sequence of an adapter."""
        places = self._by_adapter.get(adapter)
        return None if places is None else places[0]

    def of(self, adapter: int) -> list[Sequence]:
        """All that wait for an adapter, the oldest first."""
        return [sequence for _, sequence in self._by_adapter.get(adapter, ())]

    def clear(self) -> None:
        """Forget all."""
        self._by_adapter.clear()
        self._count = 0


class LaneQueue:
    """The part of a queue whose adapters a lane may run now: what its batching policy sees as waiting.

    It is as long as the whole queue, and false where nothing of it may be admitted.
    """

    def __init__(self, queue: AdapterQueue) -> None:
        self._queue = queue
        self._heads: list[tuple[int, int]] = []
        self._admits: Callable[[int, int], bool] = lambda _, __: True

    def offer(self, adapters: Iterable[int], admits: Callable[[int, int], bool]) -> None:
        """Show the sequences of these adapters alone, of which `admits` is asked by (adapter, place)."""
        self._admits = admits
        self._heads = []
        for adapter in adapters:
            self._show(adapter)

    def _show(self, adapter: int) -> None:
        head = self._queue.head(adapter)
        if head is not None and self._admits(adapter, head[0]):
            heappush(self._heads, (head[0], adapter))

    def __bool__(self) -> bool:
        return bool(self._heads)

    def __len__(self) -> int:
        return len(self._queue)

    def __iter__(self) -> Iterator[Sequence]:
        return iter(self._queue)

    def __getitem__(self, index: int, /) -> Sequence:
        """The head; there is no other place."""
        head = None if index or not self._heads else self._queue.head(self._heads[0][1])
        if head is None:
            raise IndexError("a lane's queue has a head and no other place")
        return head[1]

    def append(self, sequence: Sequence, /) -> None:
        """Let a sequence arrive; it is shown when the next iteration is decided."""
        self._queue.append(sequence)

    def appendleft(self, sequence: Sequence, /) -> None:
        """Put a preempted sequence before all others; it is shown when the next iteration is decided."""
        self._queue.appendleft(sequence)

    def popleft(self) -> Sequence:
        """Take out the head."""
        _, adapter = heappop(self._heads)
        sequence = self._queue.take(adapter)
        self._show(adapter)
        return sequence
