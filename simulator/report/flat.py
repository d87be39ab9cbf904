"""Nested figures as flat ones: one dotted name a number or word, so that runs stand side by side in a table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

Scalar = float | int | str | bool | None


def flat(figures: Mapping[str, Any], before: str = "") -> dict[str, Scalar]:
    """Leaves of nested plain data by dotted name, such as `latency_ms.ttft.p99`, in their order.

    Lists, which are tables of their own, and empty mappings have no place in one row and are left out. Numbers of
    other libraries become Python's own.
    """
    return dict(_leaves(figures, before))


def flat_intervals(figures: Mapping[str, Any]) -> dict[str, tuple[float, float]]:
    """Of nested plain data whose leaves are [low, high] those leaves, by dotted name; anything else is left out."""
    found: dict[str, tuple[float, float]] = {}
    for name, value in figures.items():
        if isinstance(value, Mapping):
            found |= {f"{name}.{inner}": pair for inner, pair in flat_intervals(value).items()}
        elif isinstance(value, list | tuple) and len(value) == 2:
            found[name] = float(value[0]), float(value[1])
    return found


def _leaves(figures: Mapping[str, Any], before: str) -> Iterator[tuple[str, Scalar]]:
    for key, value in figures.items():
        name = f"{before}{key}"
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{name}.")
        elif not isinstance(value, list | tuple):
            yield name, value.item() if hasattr(value, "item") else value
