"""Where adapters are on a device: in pages of the KV pool, or in slots reserved for them."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable
from dataclasses import dataclass
from typing import Protocol

from simulator.policies.kv_cache import PagedKVCache

BASE = -1


class AdapterMemory(Protocol):
    """The adapters on one replica's devices. A running sequence holds its adapter; one that nobody holds is idle."""

    def has(self, adapter: int) -> bool:
        """Whether an adapter is there as a whole."""
        ...

    def claim(self, adapter: int, kept: Container[int], spare: int) -> tuple[int, ...] | None:
        """Take memory to load an adapter into: the adapters that gave way in whole, or None where there is none.

        Those in `kept` stay, and `spare` KV blocks must be left free.
        """
        ...

    def land(self, adapter: int) -> None:
        """A claimed adapter has been loaded; it is idle."""
        ...

    def hold(self, adapter: int) -> None:
        """A sequence of this adapter runs."""
        ...

    def let_go(self, adapter: int) -> None:
        """A sequence of this adapter runs no more."""
        ...

    def touch(self, adapter: int) -> None:
        """An idle adapter is waited for: let it be the last to give way."""
        ...

    def idle_blocks(self, adapter: int) -> int:
        """KV blocks that count as free and will not once a sequence holds this adapter."""
        ...

    def there(self) -> int:
        """Adapters on the device, as a whole."""
        ...

    def clear(self) -> None:
        """Lose everything; nothing is held."""
        ...


@dataclass(eq=False, slots=True)
class _Copy:
    """An adapter in the KV pool: its identity there."""

    blocks: int
    users: int = 1
    landed: bool = False


class Pages:
    """Adapters in blocks of the KV pool, `blocks_of` each (unified paging of S-LoRA, arXiv:2311.03285, section 5.1).

    Idle ones lie among the free blocks and are overwritten in the order in which those are taken, least recently used
    first; one that has lost a block is lost. The base model takes none.
    """

    def __init__(self, kv: PagedKVCache, blocks_of: Callable[[int], int]) -> None:
        self._kv = kv
        self._blocks_of = blocks_of
        self._copies: dict[int, _Copy] = {}

    def has(self, adapter: int) -> bool:
        if adapter == BASE:
            return True
        copy = self._copies.get(adapter)
        if copy is None or not copy.landed:
            return False
        if copy.users or self._kv.cached_blocks(copy) == copy.blocks:
            return True
        self._kv.forget(copy)
        del self._copies[adapter]
        return False

    def claim(self, adapter: int, kept: Container[int], spare: int) -> tuple[int, ...] | None:
        blocks = self._blocks_of(adapter)
        if blocks + spare > self._kv.free:
            return None
        copy = self._copies[adapter] = _Copy(blocks)
        self._kv.keep(copy, blocks)
        return ()

    def land(self, adapter: int) -> None:
        self._copies[adapter].landed = True
        self.let_go(adapter)

    def hold(self, adapter: int) -> None:
        if adapter != BASE:
            copy = self._copies[adapter]
            if not copy.users:
                self._kv.hold(copy)
            copy.users += 1

    def let_go(self, adapter: int) -> None:
        if adapter != BASE:
            copy = self._copies[adapter]
            copy.users -= 1
            if not copy.users:
                self._kv.let_go(copy)

    def touch(self, adapter: int) -> None:
        if self.idle_blocks(adapter):
            self._kv.touch(self._copies[adapter])

    def idle_blocks(self, adapter: int) -> int:
        copy = self._copies.get(adapter)
        return 0 if copy is None or copy.users else copy.blocks

    def there(self) -> int:
        return sum(self.has(adapter) for adapter in list(self._copies))

    def clear(self) -> None:
        self._copies.clear()


class Slots:
    """`slots` places outside the KV pool, of which each holds any adapter, the first of them `initial` ones.

    With `base_too` the base model needs a slot like any adapter, else it is always there.
    """

    def __init__(self, slots: int, *, initial: Iterable[int] = (), base_too: bool = False) -> None:
        self._base_too = base_too
        self._initial = tuple(initial)
        self._slots = slots
        self.clear()

    def clear(self) -> None:
        self._users = dict.fromkeys(self._initial, 0)
        self._place = {adapter: slot for slot, adapter in enumerate(self._initial)}
        self._landed = set(self._initial)

    def slot(self, adapter: int) -> int:
        """The number of the slot that an adapter is in."""
        return self._place[adapter]

    def _needs_none(self, adapter: int) -> bool:
        return adapter == BASE and not self._base_too

    def has(self, adapter: int) -> bool:
        return self._needs_none(adapter) or adapter in self._landed

    def claim(self, adapter: int, kept: Container[int], spare: int) -> tuple[int, ...] | None:
        gone: tuple[int, ...] = ()
        if len(self._users) < self._slots:
            slot = min(set(range(self._slots)) - set(self._place.values()))
        else:
            idle = (a for a, users in self._users.items() if not users and a not in kept)
            oldest = next(idle, None)
            if oldest is None:
                return None
            del self._users[oldest]
            self._landed.discard(oldest)
            slot, gone = self._place.pop(oldest), (oldest,)
        self._users[adapter], self._place[adapter] = 1, slot
        return gone

    def land(self, adapter: int) -> None:
        self._landed.add(adapter)
        self.let_go(adapter)

    def hold(self, adapter: int) -> None:
        if not self._needs_none(adapter):
            self._users[adapter] = self._users.pop(adapter) + 1

    def let_go(self, adapter: int) -> None:
        if not self._needs_none(adapter):
            self._users[adapter] = self._users.pop(adapter) - 1

    def touch(self, adapter: int) -> None:
        if adapter in self._users:
            self._users[adapter] = self._users.pop(adapter)

    def idle_blocks(self, adapter: int) -> int:
        return 0

    def there(self) -> int:
        return len(self._landed)
