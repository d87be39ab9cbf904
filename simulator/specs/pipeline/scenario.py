"""A pipeline: items from sources through stages on devices and links."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from simulator.specs.part import Count, NotNegative, Part, Positive
from simulator.specs.pipeline.laws import Next, PolicySpec
from simulator.specs.pipeline.resources import DeviceSpec, LinkSpec, StoreSpec
from simulator.specs.pipeline.services import AnyService
from simulator.specs.pipeline.sources import SourceSpec

RESERVED = ("done", "drop")


class QueueSpec(Part):
    """Who waits: at most `capacity` items (none given: any number), in an order, and what a full queue does."""

    capacity: Annotated[int, Field(ge=0, le=1_000_000_000)] | None = None
    order: Literal["fcfs", "lcfs", "priority", "earliest-deadline"] = "fcfs"
    """Who is served first."""
    full: PolicySpec = PolicySpec(policy="drop-newest")


class BatchSpec(Part):
    """Up to `size` items at once; fewer start once the first has waited `timeout_ms`."""

    size: Annotated[int, Field(ge=1, le=100_000)] = 1
    timeout_ms: NotNegative = 0.0


class StageSpec(Part):
    """A service with a queue before it; `servers` batches at a time (null: any number).

    `takes` names a supply of which each item needs one. `late: drop` drops items whose deadline has passed when they
    would start. `to` is a stage, "done", several stages side by side, or a policy.
    """

    service: AnyService
    servers: Annotated[int, Field(ge=1, le=1_000_000)] | None = 1
    queue: QueueSpec = QueueSpec()
    batch: BatchSpec = BatchSpec()
    late: Literal["serve", "drop"] = "serve"
    """What becomes of items whose deadline has passed."""
    takes: str | None = None
    to: Next = "done"


class JoinSpec(Part):
    """Parallel branches meet again: the first `needed` go on as one item (none given: all of them)."""

    needed: Count | None = None
    to: Next = "done"


class SupplySpec(Part):
    """Things made ahead by a service, one by one on each of `makers`, as long as there are fewer than `capacity`.

    One is thrown away `lifetime_s` after it was made. `priority` is that of the making on shared devices and links.
    """

    service: AnyService
    capacity: Count
    initial: Annotated[int, Field(ge=0)] = 0
    """How many there are at the start."""
    makers: Annotated[int, Field(ge=1, le=10_000)] = 1
    priority: Annotated[int, Field(ge=0, le=1000)] = 1000
    lifetime_s: Positive | None = None

    @model_validator(mode="after")
    def _room(self) -> SupplySpec:
        if self.initial > self.capacity:
            raise ValueError(f"initial {self.initial} is more than capacity {self.capacity}")
        return self


class PipelineScenario(Part):
    """Sources, stages and joins by name, on shared devices, links and stores.

    A run ends when all items have come to their end, or after `seconds`. Items created in the first `warm_up_s` are
    left out of the figures of items.
    """

    kind: Literal["pipeline"]
    name: str = ""
    seed: Annotated[int, Field(ge=0)] = 0
    seconds: Positive | None = None
    warm_up_s: NotNegative = 0.0
    sources: Annotated[dict[str, SourceSpec], Field(min_length=1)]
    stages: dict[str, StageSpec] = Field(default_factory=dict)
    joins: dict[str, JoinSpec] = Field(default_factory=dict)
    devices: dict[str, DeviceSpec] = Field(default_factory=dict)
    links: dict[str, LinkSpec] = Field(default_factory=dict)
    stores: dict[str, StoreSpec] = Field(default_factory=dict)
    supplies: dict[str, SupplySpec] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _names(self) -> PipelineScenario:
        for groups in ((self.sources, self.stages, self.joins), (self.devices, self.links, self.stores)):
            names = [name for group in groups for name in group]
            for name in names:
                if name in RESERVED:
                    raise ValueError(f"{name} is not a name of a stage: choose another")
                if names.count(name) > 1:
                    raise ValueError(f"{name} is the name of two things: rename one")
        return self
