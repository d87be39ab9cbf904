"""Which servers serve work of low priority."""

from __future__ import annotations

from collections.abc import Collection


def gives_way(server: int, low_priority: float | Collection[int]) -> bool:
    """Whether a server is of low priority: listed, or one of a share of all that is spread evenly over the numbers."""
    if isinstance(low_priority, Collection):
        return server in low_priority
    return int((server + 1) * low_priority) > int(server * low_priority)
