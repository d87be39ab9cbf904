"""The fields of a `kind: cascade` scenario: pools, the plan of calls, and what is known of each request."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from simulator.errors import refuse_beside, unknown_name
from simulator.scenario import Scenario
from simulator.specs.control import ColdStartSpec
from simulator.specs.load import LoadSpec, ObjectiveSpec
from simulator.specs.part import NotNegative, Part, Positive

# What the whole says for all pools.
OF_THE_WHOLE = ("kind", "name", "load", "seed", "fast_forward")


class NetworkSpec(Part):
    """The way from those who make the calls to a pool and back: none, unless given.

    Text of `bytes_per_token` (4: about four letters of English a token) is sent at `uplink_mbit_s` and
    `downlink_mbit_s`, unbounded if not given; all calls of the pool share them.
    """

    round_trip_ms: NotNegative = 0.0
    """Time there and back, half of it each way."""
    uplink_mbit_s: Positive | None = None
    downlink_mbit_s: Positive | None = None
    bytes_per_token: Positive = 4.0


class PoolSpec(Scenario):
    """One deployment, described as a serving scenario is, without load, seed, name and fast_forward.

    With token prices (USD a million) it is paid by the token, else by the device-hour. Pools of one `group` are on
    the same devices and take turns there.
    """

    load: LoadSpec = LoadSpec(generator={})
    network: NetworkSpec = NetworkSpec()
    price_per_million_input_tokens: NotNegative | None = None
    """US dollars for a million prompt tokens."""
    price_per_million_output_tokens: NotNegative | None = None
    """US dollars for a million output tokens."""
    group: Annotated[str, Field(min_length=1, max_length=60)] | None = None

    @model_validator(mode="after")
    def _part_of_the_whole(self) -> PoolSpec:
        for name in OF_THE_WHOLE:
            if name in self.model_fields_set:
                raise ValueError(f"{name} is of the whole scenario: leave it out of the pool")
        refuse_beside(
            "kind cascade", {"finetuning": self.finetuning is not None, "adapters": self.adapters is not None}
        )
        if (self.price_per_million_input_tokens is None) != (self.price_per_million_output_tokens is None):
            raise ValueError("give both price_per_million_input_tokens and price_per_million_output_tokens, or none")
        return self


class PlanSpec(Part):
    """The plan by name or `module:Class`, which says what calls a request makes, and its options."""

    policy: str = "single"
    options: dict[str, Any] = Field(default_factory=dict)


class GroupSpec(Part):
    """Devices that pools share in turn: the policy of turns by name or `module:Class`, and how weights get in.

    What is not resident waits in host memory unless `loading` says otherwise.
    """

    policy: str = "longest-waiting"
    options: dict[str, Any] = Field(default_factory=dict)
    loading: ColdStartSpec = ColdStartSpec(weights_from="host")


class DifficultySpec(Part):
    """Difficulties from 0 to 1: the same for all, uniform, or drawn from a beta distribution of shapes `a` and `b`."""

    law: Literal["fixed", "uniform", "beta"] = "uniform"
    """The law of difficulties."""
    value: Annotated[float, Field(ge=0, le=1)] = 0.5
    """The difficulty of all requests under law fixed."""
    a: Annotated[float, Field(gt=0, le=1e6)] = 1.0
    b: Annotated[float, Field(gt=0, le=1e6)] = 1.0


class AttributesSpec(Part):
    """What plans know of a request besides its tokens, where the trace does not say it.

    `document_tokens` is a law of lengths as those of a generated load; without one there are no documents.
    """

    difficulty: DifficultySpec = DifficultySpec()
    document_tokens: dict[str, Any] | None = None


class Cascade(Part):
    """An experiment with several pools: which deployments there are, and what calls each request makes to them.

    `groups` are devices that several pools share in turn, by the name that the pools give. Objectives, load and seed
    are of whole requests; a pool has `objectives` of its own for policies that ask for them.
    """

    kind: Literal["cascade"] = "cascade"
    name: str = ""
    pools: Annotated[dict[str, PoolSpec], Field(min_length=1, max_length=1000)]
    plan: PlanSpec = PlanSpec()
    groups: dict[str, GroupSpec] = Field(default_factory=dict)
    attributes: AttributesSpec = AttributesSpec()
    load: LoadSpec
    objectives: ObjectiveSpec = ObjectiveSpec(ttft_ms=1000.0, tpot_ms=50.0)
    seed: Annotated[int, Field(ge=0, le=2**63 - 1)] = 0
    fast_forward: bool = True
    """As for a serving scenario."""

    @model_validator(mode="after")
    def _groups_of_pools(self) -> Cascade:
        if self.load.sessions == "wait":
            raise ValueError("load.sessions wait is not modelled in a cascade: leave it out")
        used = {pool.group for pool in self.pools.values() if pool.group is not None}
        for name in self.groups:
            if name not in used:
                raise unknown_name("group (no pool is in it)", name, used)
        return self

    def members(self, group: str) -> list[str]:
        """The pools of a group."""
        return [name for name, pool in self.pools.items() if pool.group == group]
