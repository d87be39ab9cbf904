"""The queue of a discipline: what batching policies see in place of a deque."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterator
from heapq import heapify, heappop, heappush

from simulator.policies.queueing.discipline import Discipline, Flows, Key, Notified, Timed
from simulator.policies.sequence import Sequence

Entry = tuple[Key, float, int, int, Sequence]


class DisciplinedQueue:
    """Waiting sequences in the order of a discipline: a heap a flow, the head being the best of the flows' heads.

    Arrivals wait outside until `settle`, which is called before each decision, so that accounts are up to
    date when they are placed. Costs O(log n) a sequence, and O(flows) a change of head.
    """

    def __init__(self, discipline: Discipline) -> None:
        self.discipline = discipline
        self._notified = discipline if isinstance(discipline, Notified) else None
        self._flows = discipline if isinstance(discipline, Flows) else None
        self._timed = discipline if isinstance(discipline, Timed) else None
        self._arrived: list[Sequence] = []
        self._heaps: dict[Hashable, list[Entry]] = {}
        self._entries: dict[Sequence, Entry] = {}
        self._best: Hashable = None
        self._known = False
        self._now = 0.0
        self._pushed = 0

    def __len__(self) -> int:
        return len(self._entries) + len(self._arrived)

    def __iter__(self) -> Iterator[Sequence]:
        """All that wait, in no order."""
        yield from self._entries
        yield from self._arrived

    def __getitem__(self, index: int, /) -> Sequence:
        """The head; only index 0 is kept in order."""
        if index or not self._entries:
            raise IndexError("the queue of a discipline has a head and no other place")
        return self._heaps[self._head_flow()][0][-1]

    def append(self, sequence: Sequence, /) -> None:
        """Let a sequence arrive."""
        self._arrived.append(sequence)

    def appendleft(self, sequence: Sequence, /) -> None:
        """Put a preempted sequence back in its place."""
        if self._notified is not None:
            self._notified.queued(sequence, self._now)
        self._push(sequence)

    def popleft(self) -> Sequence:
        """Take out the head."""
        sequence = heappop(self._heaps[self._head_flow()])[-1]
        del self._entries[sequence]
        self._known = False
        if self._notified is not None:
            self._notified.taken(sequence)
        return sequence

    def settle(self, now: float) -> None:
        """Bring the order up to date: place arrivals, and move what time has moved."""
        self._now = now
        self._known = False
        if self._timed is not None:
            for sequence in self._timed.changed(now):
                if sequence in self._entries:
                    self._push(sequence)
        if self._arrived:
            arrived, self._arrived = self._arrived, []
            if self._notified is not None:
                for sequence in arrived:
                    self._notified.queued(sequence, now)
            for sequence in arrived:
                self._push(sequence)

    def flows(self) -> Collection[Hashable]:
        """Flows with sequences waiting."""
        self._head_flow()
        return self._heaps.keys()

    def in_order(self) -> Iterator[Sequence]:
        """All placed sequences, first in line first, as ranks stand now; the first k cost O(k log k)."""
        # In a heap, what follows an entry is below it: walk each from its root, always on from the least.
        ahead = [(self._rank(flow), heap[0], 0, heap) for flow, heap in self._heaps.items() if heap]
        heapify(ahead)
        while ahead:
            rank, entry, place, heap = heappop(ahead)
            for below in (2 * place + 1, 2 * place + 2):
                if below < len(heap):
                    heappush(ahead, (rank, heap[below], below, heap))
            if self._is_current(entry):
                yield entry[-1]

    def _push(self, sequence: Sequence) -> None:
        self._pushed += 1
        key = self.discipline.key(sequence, self._now)
        entry = (key, sequence.arrival, sequence.index, self._pushed, sequence)
        self._entries[sequence] = entry
        flow = None if self._flows is None else self._flows.flow(sequence)
        heappush(self._heaps.setdefault(flow, []), entry)
        self._known = False

    def _is_current(self, entry: Entry) -> bool:
        return self._entries.get(entry[-1]) is entry

    def _rank(self, flow: Hashable) -> Key:
        return () if self._flows is None else self._flows.rank(flow)

    def _head_flow(self) -> Hashable:
        """The flow whose head is next; forgets entries that were moved and flows that are empty."""
        if self._known:
            return self._best
        for flow in list(self._heaps):
            heap = self._heaps[flow]
            while heap and not self._is_current(heap[0]):
                heappop(heap)
            if not heap:
                del self._heaps[flow]
        if self._heaps:
            self._best = min(self._heaps, key=lambda flow: (self._rank(flow), self._heaps[flow][0]))
        self._known = True
        return self._best
