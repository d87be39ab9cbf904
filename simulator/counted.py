"""Loops that tell how far they are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")
# Told how many are done, and of how many.
OnCount = Callable[[int, int], None]


def counted(items: Iterable[Item], total: int, on_count: OnCount | None) -> Iterator[Item]:
    """The items as they come; `on_count` is told when each has been dealt with."""
    for done, item in enumerate(items, 1):
        yield item
        if on_count is not None:
            on_count(done, total)
