"""Fields of a scenario that keep prompts apart from decoding: on other devices, or on a part of the same."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from simulator.specs.layout import ParallelSpec
from simulator.specs.part import Part
from simulator.specs.policies import BatchingSpec, RouterSpec


class TransferSpec(Part):
    """How the KV cache goes from prefill to decode replicas.

    `link` names the link of one device (None: the node's own where both replicas fit into one node, else its network),
    `layerwise` lets each layer's cache leave as soon as it is computed, `first_token` says when the client sees the
    first token: when it is computed ("prefill") or when the cache has landed ("transfer").
    """

    link: str | None = None
    layerwise: bool = False
    first_token: Literal["prefill", "transfer"] = "prefill"


class DisaggregationSpec(Part):
    """A pool of `replicas` that only compute prompts; the scenario's own replicas then only decode.

    What is not given is as in the decode pool. `router` chooses the decode replica.
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


class PartitionSpec(Part):
    """Prompts and decoding side by side on the same devices, over one KV cache and one copy of the weights.

    Prompts get `prefill_units` of each device's units, decoding the rest. `saturating_units` of the units draw the
    whole memory bandwidth, and prompts draw `prefill_traffic` of it while decoding goes on: both are shares, fixed
    for the run. Iterations are then simulated one by one.
    """

    prefill_units: Annotated[float, Field(gt=0, lt=1)] = 0.5
    saturating_units: Annotated[float, Field(gt=0, le=1)] = 0.5
    prefill_traffic: Annotated[float, Field(ge=0, lt=1)] = 0.2
    batching: BatchingSpec | None = None
