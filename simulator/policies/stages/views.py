"""What decisions in a pipeline may look at."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from simulator.errors import InputError


class ItemView(Protocol):
    """A frame, request or chunk; times in seconds, `attributes` are numbers by name."""

    @property
    def number(self) -> int: ...

    @property
    def source(self) -> str: ...

    @property
    def created(self) -> float: ...

    @property
    def deadline(self) -> float: ...

    @property
    def priority(self) -> int: ...

    @property
    def attributes(self) -> Mapping[str, float]: ...


class PipelineView(Protocol):
    """The state of a pipeline at the moment of a decision."""

    @property
    def now(self) -> float: ...

    def waiting(self, stage: str) -> int:
        """Items at a stage, waiting or in service."""
        ...

    def alone_s(self, stage: str, item: ItemView) -> float:
        """Seconds that a stage takes for an item with nothing in its way, at the rates of this moment."""
        ...

    def delay_s(self, stage: str, item: ItemView) -> float:
        """The same, with the items that are before it at this moment."""
        ...


def attribute(item: ItemView, name: str) -> float:
    """A number of an item. Raises `InputError` naming those that it has."""
    if name not in item.attributes:
        known = ", ".join(item.attributes) or "none"
        raise InputError(f"items of source {item.source} have no attribute {name} (they have {known}): add it there")
    return item.attributes[name]
