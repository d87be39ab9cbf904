"""Fields of a scenario that keep prompts apart from decoding: on other devices, a part of the same, or in turns."""

from __future__ import annotations

from math import ceil
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from simulator.specs.cache import EncodingSpec
from simulator.specs.layout import ParallelSpec
from simulator.specs.part import Part, Positive
from simulator.specs.policies import BatchingSpec, RouterSpec


class TransferSpec(Part):
    """How the KV cache goes from prefill to decode replicas.

    `link` names the link of one device (None: the node's own where both replicas fit into one node, else its network),
    `layerwise` lets each layer's cache leave as soon as it is computed, `first_token` says when the client sees the
    first token: when it is computed ("prefill") or when the cache has landed ("transfer"). With `encoding`, layers go
    one after the other, encoded by each device at `encode_gb_s` GB/s of what goes in, while others are under way.
    """

    link: str | None = None
    layerwise: bool = False
    first_token: Literal["prefill", "transfer"] = "prefill"
    encoding: EncodingSpec | None = None
    encode_gb_s: Positive = 100.0

    @model_validator(mode="after")
    def _encoding_to_reach(self) -> TransferSpec:
        if self.encoding is None and "encode_gb_s" in self.model_fields_set:
            raise ValueError("encode_gb_s without encoding: give encoding, for example {ratio: 4}")
        return self


class RolesSpec(Part):
    """The role policy by name or `module:Class`, asked every `every_s` seconds how many replicas compute prompts.

    A replica that is to change its role takes nothing more of the old one. With `drain` "finish" it first ends what it
    has; with "mixed" it goes on with that beside the work of its new role (Splitwise's mixed pool, Patel et al.,
    ISCA 2024, section 4); with "hand-over" it sends what it decodes to other replicas over the link, and what it has
    not begun back to the router. Prompts that a replica computed before it decodes stay in its cache.
    """

    policy: str = "fixed"
    options: dict[str, Any] = Field(default_factory=dict)
    every_s: Positive = 5.0
    drain: Literal["finish", "mixed", "hand-over"] = "finish"


class DisaggregationSpec(Part):
    """A pool of `replicas` that only compute prompts; the scenario's own replicas then only decode.

    What is not given is as in the decode pool. `router` chooses the decode replica. `roles` says whether replicas
    change from one pool to the other.
    """

    replicas: Annotated[int, Field(ge=1, le=100_000)] = 1
    device: str | None = None
    node: str | None = None
    parallel: ParallelSpec | None = None
    batching: BatchingSpec | None = None
    calibration: str | None = None
    price_per_device_hour: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    transfer: TransferSpec = TransferSpec()
    router: RouterSpec = RouterSpec(policy="least-outstanding")
    roles: RolesSpec = RolesSpec()


class SplitSpec(Part):
    """How a device's units are split while prompts and decoding both work: a policy by name or `module:Class`.

    It chooses among the multiples of `step`. A phase whose other rests runs `alone` on the whole "device", or goes on
    on its own "part" of it.
    """

    policy: str = "fixed"
    options: dict[str, Any] = Field(default_factory=dict)
    alone: Literal["device", "part"] = "device"
    step: Annotated[float, Field(ge=0.02, le=0.5)] = 0.1

    def shares(self) -> tuple[float, ...]:
        """The shares of the units that prompts may get, rising: multiples of `step` between 0 and 1."""
        return tuple(round(n * self.step, 9) for n in range(1, ceil(1.0 / self.step - 1e-9)))


class PartitionSpec(Part):
    """Prompts and decoding side by side on the same devices, over one KV cache and one copy of the weights.

    Prompts get `prefill_units` of each device's units, decoding the rest. `saturating_units` of the units draw the
    whole memory bandwidth, and prompts draw `prefill_traffic` of it while decoding goes on: both are shares, fixed
    for the run. With `split`, the units follow its policy from `prefill_units` on, and what either phase draws of the
    bandwidth follows from the steps that run side by side. Iterations are simulated one by one.
    """

    prefill_units: Annotated[float, Field(gt=0, lt=1)] = 0.5
    saturating_units: Annotated[float, Field(gt=0, le=1)] = 0.5
    prefill_traffic: Annotated[float, Field(ge=0, lt=1)] = 0.2
    batching: BatchingSpec | None = None
    split: SplitSpec | None = None

    @model_validator(mode="after")
    def _one_of_the_splits(self) -> PartitionSpec:
        if self.split is None:
            return self
        if "prefill_traffic" in self.model_fields_set:
            raise ValueError("with split, traffic follows from the steps themselves: leave out prefill_traffic")
        if min(abs(share - self.prefill_units) for share in self.split.shares()) > 1e-9:
            raise ValueError(
                f"prefill_units {self.prefill_units} is no multiple of split.step {self.split.step}: change either"
            )
        return self


class PairingSpec(Part):
    """Replicas two and two, each with copies of the KV caches of the other (AcceLLM, arXiv:2411.05555).

    The policy, by name or `module:Class`, says which of a pair computes prompts and what the other hands back when
    there are no more. Copies go over `link` (None: the node's own where both replicas fit into one node, else its
    network), those of prompts `layerwise` while other layers are computed, and are given up when memory runs short.
    Both replicas take blocks of each other's cache, so iterations are simulated one by one.
    """

    policy: str = "accellm"
    options: dict[str, Any] = Field(default_factory=dict)
    link: str | None = None
    layerwise: bool = True
