"""What a full queue does with an item that arrives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from simulator.policies.stages.views import ItemView


class FullQueue(Protocol):
    """Decides who goes when a queue is full."""

    def drop(self, waiting: Sequence[ItemView], arriving: ItemView) -> int | None:
        """The index of a waiting item to drop, len(waiting) to drop the arriving one, None to keep it back upstream."""
        ...


class DropNewest:
    """The arriving item is dropped (tail drop)."""

    def drop(self, waiting: Sequence[ItemView], arriving: ItemView) -> int | None:
        return len(waiting)


class DropOldest:
    """The item that was created first is dropped, so that the latest are served; ties by number."""

    def drop(self, waiting: Sequence[ItemView], arriving: ItemView) -> int | None:
        every = [*waiting, arriving]
        return min(range(len(every)), key=lambda i: (every[i].created, every[i].number))


class DropLatestDeadline:
    """The item with the most time left is dropped; ties go against the one that arrives."""

    def drop(self, waiting: Sequence[ItemView], arriving: ItemView) -> int | None:
        every = [*waiting, arriving]
        return max(range(len(every)), key=lambda i: (every[i].deadline, i))


class DropLeastUrgent:
    """The item with the highest priority number is dropped; ties go against the one that arrives."""

    def drop(self, waiting: Sequence[ItemView], arriving: ItemView) -> int | None:
        every = [*waiting, arriving]
        return max(range(len(every)), key=lambda i: (every[i].priority, i))


class Block:
    """Nothing is dropped: the stage or source before keeps the item, and its server, until there is room."""

    def drop(self, waiting: Sequence[ItemView], arriving: ItemView) -> int | None:
        return None
