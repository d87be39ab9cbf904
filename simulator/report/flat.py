"""Nested figures as flat ones: one dotted name a number or word, so that runs stand side by side in a table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

Scalar = float | int | str | bool | None


def flat(figures: Mapping[str, Any]) -> dict[str, Scalar]:
    """Leaves of nested plain data by dotted name, such as `latency_ms.ttft.p99`, in their order.

    Lists, which are tables of their own, and empty mappings have no place in one row and are left out. Numbers of
    other libraries become Python's own.
    """
    kept = ((name, value) for name, value in leaves(figures) if not isinstance(value, list | tuple))
    return {name: value.item() if hasattr(value, "item") else value for name, value in kept}


def leaves(figures: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """Everything in nested plain data that is no mapping, lists too, by dotted name."""
    for key, value in figures.items():
        if isinstance(value, Mapping):
            yield from leaves(value, f"{before}{key}.")
        else:
            yield f"{before}{key}", value


def flat_intervals(figures: Mapping[str, Any]) -> dict[str, tuple[float, float]]:
    """Of nested plain data whose leaves are [low, high] those leaves, by dotted name; anything else is left out."""
    pairs = ((name, value) for name, value in leaves(figures) if isinstance(value, list | tuple) and len(value) == 2)
    return {name: (float(low), float(high)) for name, (low, high) in pairs}
