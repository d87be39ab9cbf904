"""The network part of a training scenario."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from simulator.specs.part import Count, NotNegative, Part


class PathsSpec(Part):
    """How flows choose among the shortest paths: `ecmp`, `spraying`, `planned`, `minimal-splitting`, `module:Class`."""

    policy: str = "spraying"
    options: dict[str, Any] = Field(default_factory=dict)


class ChurnSpec(Part):
    """Steps of replicas at sites of their own that fail and join, by replica and second.

    All know of a failure after `notice_s`. Links wander by `spread` (of their logarithm) around their bandwidth.
    """

    steps: Count = 10
    """Steps that are simulated."""
    fails: dict[int, NotNegative] = Field(default_factory=dict)
    """When replicas fail: seconds by number of the replica."""
    joins: dict[int, NotNegative] = Field(default_factory=dict)
    """When replicas join: seconds by number of the replica."""
    notice_s: NotNegative = 1.0
    spread: NotNegative = 0.0
    seed: Annotated[int, Field(ge=0)] = 0


class NetworkSpec(Part):
    """What joins the nodes; without it, every group of ranks has links of its own at full speed.

    `topology` is a mapping of its `kind` and that kind's options. `placement` deals ranks to devices along the
    parallel dimensions, innermost first (tensor, context, data, pipeline unless given). `all_reduce` says how nodes
    reduce among each other. So many random `swaps` of two nodes search for a placement on faster links.
    """

    topology: dict[str, Any]
    routing: PathsSpec = PathsSpec()
    placement: tuple[Literal["tensor", "context", "data", "pipeline"], ...] | None = None
    all_reduce: Literal["fastest", "ring", "tree", "halving-doubling", "in-network"] = "fastest"
    swaps: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    seed: Annotated[int, Field(ge=0)] = 0
    churn: ChurnSpec | None = None
