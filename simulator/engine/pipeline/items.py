"""Items of a pipeline, their copies on parallel branches, and what becomes of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from simpy.events import Event


@dataclass(slots=True, eq=False)
class Item:
    """What a source emits: a frame, a request, a chunk of audio. Times in seconds.

    `attributes` are numbers by name ("bytes", "difficulty", ...). `deadline` is absolute. `ended` is when the last of
    its copies left by the regular way, None as long as none did; `lost` names why the item was dropped.
    """

    number: int
    source: str
    created: float
    attributes: Mapping[str, float]
    deadline: float = float("inf")
    priority: int = 0
    live: set[Copy] = field(default_factory=set)
    ended: float | None = None
    lost: str = ""
    closed: float | None = None
    done: Event | None = None

    @property
    def completed(self) -> bool:
        return self.closed is not None and not self.lost


@dataclass(slots=True, eq=False)
class Branching:
    """Copies that one item was split into; `closed` once enough of them have met again."""

    parent: Branching | None
    copies: int
    met: int = 0
    closed: bool = False


@dataclass(slots=True, eq=False)
class Copy:
    """An item on one of its branches; `visits` counts the stages that it has entered."""

    item: Item
    branching: Branching | None = None
    visits: int = 0

    @property
    def cancelled(self) -> bool:
        """Whether its siblings have gone on without it."""
        branching = self.branching
        while branching is not None:
            if branching.closed:
                return True
            branching = branching.parent
        return False


class Ledger:
    """Every item from source to end; nothing is lost between the two.

    An item is closed when none of its copies is left: completed if one has left by the regular way, else dropped with
    the reason of the first that was. `on_close` hears of it.
    """

    def __init__(self) -> None:
        self.items: list[Item] = []
        self.on_close: Callable[[Item], None] = lambda item: None

    def admit(self, item: Item) -> Copy:
        """An item enters the pipeline as one copy."""
        self.items.append(item)
        copy = Copy(item)
        item.live.add(copy)
        return copy

    def split(self, copy: Copy, branches: int) -> list[Copy]:
        """The copies that go on by so many branches in place of `copy`."""
        if branches == 1:
            return [copy]
        branching = Branching(copy.branching, branches)
        copies = [Copy(copy.item, branching, copy.visits) for _ in range(branches)]
        copy.item.live.discard(copy)
        copy.item.live.update(copies)
        return copies

    def meet(self, copy: Copy, needed: int | None, now: float) -> Copy | None:
        """A copy arrives where branches join: the one that goes on if it was the last that is `needed` (None: all)."""
        branching = copy.branching
        if copy.cancelled or branching is None:
            return None if copy.cancelled else copy
        branching.met += 1
        copy.item.live.discard(copy)
        if branching.met < min(needed or branching.copies, branching.copies):
            self._close_if_empty(copy.item, now)
            return None
        branching.closed = True
        joined = Copy(copy.item, branching.parent, copy.visits)
        copy.item.live = {c for c in copy.item.live if not c.cancelled}
        copy.item.live.add(joined)
        return joined

    def finish(self, copy: Copy, now: float) -> None:
        """A copy leaves by the regular way."""
        if copy.cancelled:
            return
        copy.item.ended = now
        copy.item.live.discard(copy)
        self._close_if_empty(copy.item, now)

    def drop(self, copy: Copy, reason: str, now: float) -> None:
        """A copy is dropped, and with it the item unless its siblings can do without."""
        if copy.cancelled:
            return
        copy.item.lost = copy.item.lost or reason
        copy.item.live.discard(copy)
        self._close_if_empty(copy.item, now)

    def _close_if_empty(self, item: Item, now: float) -> None:
        if item.live or item.closed is not None:
            return
        item.closed = now if item.ended is None else item.ended
        if item.ended is not None:
            item.lost = ""
        self.on_close(item)
        if item.done is not None:
            item.done.succeed()
