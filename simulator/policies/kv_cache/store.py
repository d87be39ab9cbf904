"""What one tier below device memory holds: entries of some bytes each, up to its capacity."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

from simulator.policies.kv_cache.eviction import Eviction


@dataclass(frozen=True, slots=True)
class Entry:
    """Keys and values of some tokens. `size` bytes as stored; `ready` is when the last of them was written, seconds.

    `tokens` are those it stands for, `cost` what computing them again takes.
    """

    size: int
    tokens: int
    cost: float
    ready: float


class Store:
    """Entries by identity, evicted in the order of a policy. An entry larger than the capacity goes at once."""

    def __init__(self, capacity: int, eviction: Eviction) -> None:
        self.capacity = capacity
        self.used = 0
        self._eviction = eviction
        self._entries: dict[Hashable, Entry] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: Hashable) -> Entry | None:
        """The entry of this identity, its standing unchanged."""
        return self._entries.get(key)

    def hit(self, key: Hashable, cost: float) -> None:
        """Count a use of an entry that is here."""
        self._eviction.hit(key, cost / self._entries[key].size)

    def put(self, key: Hashable, entry: Entry) -> list[tuple[Hashable, Entry]]:
        """Take in an entry that is not here; returns what had to go for it, in order."""
        if entry.size > self.capacity:
            return [(key, entry)]
        gone: list[tuple[Hashable, Entry]] = []
        while self.used + entry.size > self.capacity:
            victim = self._eviction.pop()
            old = self._entries.pop(victim)
            self.used -= old.size
            gone.append((victim, old))
        self._entries[key] = entry
        self.used += entry.size
        self._eviction.add(key, entry.cost / entry.size)
        return gone
