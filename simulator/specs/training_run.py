"""A long training run: how long, what fails, how state is saved, and what happens then."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from simulator.specs.part import Count, NotNegative, Part, Positive
from simulator.specs.rounds import SlowdownSpec


class FailureSpec(Part):
    """Components that fail: mean hours between failures of one (`mtbf_h`), of each device or node, or of `count`.

    Times between failures are Weibull with `shape` (1: exponential). A failure takes out `nodes` nodes for `repair_h`
    hours, none where 0; it is noticed after `detection_s`, that of the run where None.
    """

    cause: Annotated[str, Field(min_length=1)]
    """What the component is called."""
    of: Literal["device", "node", "other"] = "node"
    """Whose mean time it is: one device's, one node's, or that of each of `count` others."""
    mtbf_h: Positive
    count: Count | None = None
    shape: Annotated[float, Field(ge=0.2, le=20)] = 1.0
    nodes: Annotated[int, Field(ge=0, le=1_000_000)] = 1
    repair_h: NotNegative = 0.0
    detection_s: NotNegative | None = None

    @model_validator(mode="after")
    def _counted(self) -> FailureSpec:
        if (self.of == "other") != (self.count is not None):
            raise ValueError("count says how many there are where `of` is other, and only there")
        return self


class CheckpointSpec(Part):
    """Saving weights and optimiser states every `interval_s` of training, Daly's interval where None.

    Storage takes `write_gb_per_s` from all nodes together and gives `read_gb_per_s` (as much where None), and a node
    at most `node_gb_per_s` either way. "asynchronous" pauses only for a copy to host memory.
    """

    interval_s: Positive | None = None
    mode: Literal["synchronous", "asynchronous"] = "synchronous"
    """Whether training stops until a checkpoint is stored."""
    write_gb_per_s: Positive = 100.0
    read_gb_per_s: Positive | None = None
    node_gb_per_s: Positive = 10.0


class ElasticSpec(Part):
    """The response to lost workers by name or `module:Class`, and its options.

    `communicator_s` is the rebuilding of groups of ranks at a change; states and layers of a change move while
    training goes on if `overlapped`.
    """

    policy: str = "restart"
    options: dict[str, Any] = Field(default_factory=dict)
    communicator_s: NotNegative = 0.0
    overlapped: bool = True


class StragglersSpec(Part):
    """Devices that are slower than others, drawn anew for each of `steps` steps.

    Workers of `slowdowns` are devices, numbered in the order tensor, context, data, pipeline. The slowest
    `backup_replicas` are not waited for at the end of a step.
    """

    slowdowns: Annotated[list[SlowdownSpec], Field(min_length=1)]
    steps: Annotated[int, Field(ge=1, le=100_000)] = 100
    backup_replicas: Annotated[int, Field(ge=0)] = 0
    seed: Annotated[int, Field(ge=0)] = 0


class RunSpec(Part):
    """A run of `days` or of `steps`; `spares` are nodes that stand by.

    A restart takes `reschedule_s` and then loads the last checkpoint. `trace` is a CSV file of failures besides
    `failures`, with columns hours, cause and node, and if need be nodes, repair_h and detection_s.
    """

    days: Positive | None = None
    steps: Count | None = None
    seed: Annotated[int, Field(ge=0)] = 0
    failures: list[FailureSpec] = Field(default_factory=list)
    trace: str | None = None
    detection_s: NotNegative = 0.0
    """Time until a failure is noticed, where the failure does not say."""
    reschedule_s: NotNegative = 0.0
    spares: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    checkpoint: CheckpointSpec = CheckpointSpec()
    elastic: ElasticSpec = ElasticSpec()

    @model_validator(mode="after")
    def _one_goal(self) -> RunSpec:
        if (self.days is None) == (self.steps is None):
            raise ValueError("give either days or steps")
        causes = [f.cause for f in self.failures]
        if len(set(causes)) < len(causes):
            raise ValueError("each of failures needs a cause of its own")
        return self
