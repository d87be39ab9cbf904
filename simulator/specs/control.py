"""Fields of a scenario that say what acts on its cluster: admission, autoscaling, failures, migration."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from simulator.specs.part import Count, NotNegative, Part, Positive

Replicas = Annotated[int, Field(ge=1, le=100_000)]


class AdmissionSpec(Part):
    """The admission policy by name or `module:Class`, and its options."""

    policy: str = "all"
    options: dict[str, Any] = Field(default_factory=dict)


class ColdStartSpec(Part):
    """What a replica does before it serves: `fixed_s` seconds, and the weights loaded from a source.

    From "host" memory and over the "network" every device loads its part over its own link; the "disk" is one
    NVMe drive that the replica's devices share. `gb_per_s` replaces the source's rate for the whole replica.
    `fixed_s` (processes, compilation, graph capture) depends on the engine and none is assumed.
    """

    weights_from: Literal["disk", "network", "host"] = "disk"
    """Where weights are loaded from."""
    gb_per_s: Positive | None = None
    fixed_s: NotNegative = 0.0


class AutoscalingSpec(Part):
    """The autoscaler by name or `module:Class`, asked every `every_s` seconds, and the bounds of the fleet.

    The scenario's `replicas` serve from the start. The fleet shrinks only to the most replicas that the policy
    wanted in the last `shrink_delay_s` seconds (300 in Kubernetes' HorizontalPodAutoscaler).
    """

    policy: str = "fixed"
    options: dict[str, Any] = Field(default_factory=dict)
    min_replicas: Replicas = 1
    """Replicas that are never switched off."""
    max_replicas: Replicas | None = None
    """Replicas that there may be; required by policies that grow the fleet."""
    every_s: Positive = 15.0
    shrink_delay_s: NotNegative = 300.0
    cold_start: ColdStartSpec = ColdStartSpec()

    @model_validator(mode="after")
    def _bounds(self) -> AutoscalingSpec:
        if self.policy != "fixed" and self.max_replicas is None:
            raise ValueError("max_replicas is missing: say how far the fleet may grow")
        if self.max_replicas is not None and self.max_replicas < self.min_replicas:
            raise ValueError(f"max_replicas {self.max_replicas} is less than min_replicas {self.min_replicas}")
        return self


class MigrationSpec(Part):
    """The migration policy by name or `module:Class`, asked every `every_s` seconds, and its options.

    `link` names the link of one device that caches are copied over (None: the node's own where two replicas fit into
    one node, else its network).
    """

    policy: str = "none"
    options: dict[str, Any] = Field(default_factory=dict)
    every_s: Positive = 0.5
    link: str | None = None


class OutageSpec(Part):
    """A failure at a known time, in seconds: these replicas fail at `at_s` and are back after `repair_s`."""

    at_s: NotNegative
    repair_s: NotNegative
    replicas: Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)]
    """Numbers of the replicas that fail, from 0."""


class FailureSpec(Part):
    """Failures of replicas and of nodes, in seconds; none unless a mean time between failures is given.

    Times between failures are exponential, or Weibull with `weibull_shape`; repairs, of mean `mttr_s`, are
    exponential. With `node_mtbf_s` nodes of `replicas_per_node` replicas fail as a whole besides. `outages` are
    failures at known times.
    """

    mtbf_s: Positive | None = None
    """Mean time between failures of one replica; none given: replicas do not fail by themselves."""
    mttr_s: NotNegative = 600.0
    node_mtbf_s: Positive | None = None
    replicas_per_node: Count = 1
    distribution: Literal["exponential", "weibull"] = "exponential"
    """The law of times between failures."""
    weibull_shape: Annotated[float, Field(ge=0.1, le=100)] = 1.0
    outages: list[OutageSpec] = Field(default_factory=list)

    @model_validator(mode="after")
    def _shape_of_weibull(self) -> FailureSpec:
        if self.distribution == "exponential" and self.weibull_shape != 1.0:
            raise ValueError(f"weibull_shape {self.weibull_shape} needs distribution weibull")
        return self

    @property
    def any(self) -> bool:
        """Whether anything can fail."""
        return self.mtbf_s is not None or self.node_mtbf_s is not None or bool(self.outages)
