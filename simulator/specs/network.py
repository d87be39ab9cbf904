"""The network part of a training scenario."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from simulator.specs.part import Part


class PathsSpec(Part):
    """How flows choose among the shortest paths: `ecmp`, `spraying`, `planned`, `minimal-splitting`, `module:Class`."""

    policy: str = "spraying"
    options: dict[str, Any] = Field(default_factory=dict)


class NetworkSpec(Part):
    """What joins the nodes; without it, every group of ranks has links of its own at full speed.

    `topology` is a mapping of its `kind` and that kind's options. `placement` deals ranks to devices along the
    parallel dimensions, innermost first (tensor, context, data, pipeline unless given). `all_reduce` says how nodes
    reduce among each other.
    """

    topology: dict[str, Any]
    routing: PathsSpec = PathsSpec()
    placement: tuple[Literal["tensor", "context", "data", "pipeline"], ...] | None = None
    all_reduce: Literal["fastest", "ring", "tree", "halving-doubling", "in-network"] = "fastest"
