"""How a device's memory is planned for an operator graph: activations in an arena, weights resident or paged."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from simulator.specs.part import Count, NotNegative, Part, Positive


class OrderSpec(Part):
    """The order of a graph's nodes by name or `module:Class`, and its options."""

    policy: str = "given"
    options: dict[str, Any] = Field(default_factory=dict)


class ArenaSpec(Part):
    """What gives buffers their places by name or `module:Class`, its options, and the bytes that places divide by."""

    policy: str = "greedy-by-size"
    options: dict[str, Any] = Field(default_factory=dict)
    alignment: Count = 16
    """Bytes that each offset is a multiple of."""


class PagingSpec(Part):
    """Weights that are loaded layer by layer from where they are kept, `ahead` layers before their turn.

    `resident_mb` of them, those of the first layers, are in memory from the start.
    """

    bandwidth_gb_s: Positive
    """Rate of loading weights."""
    latency_us: NotNegative = 0.0
    """Time of each load besides the bytes."""
    ahead: Annotated[int, Field(ge=0, le=1_000)] = 1
    resident_mb: NotNegative = 0.0


class MemorySpec(Part):
    """`weights` are in memory beside activations, or read in place from where they are kept ("in-place"); where nothing
    is given, as the device's architecture has it.

    `capacity_mb` takes the place of the device's memory. `in_place` says what may write over its operand.
    """

    order: OrderSpec = OrderSpec()
    arena: ArenaSpec = ArenaSpec()
    in_place: Literal["none", "pointwise", "depthwise"] = "pointwise"
    weights: Literal["resident", "in-place"] | None = None
    paging: PagingSpec | None = None
    capacity_mb: Positive | None = None
