"""Fields of a scenario that say where feed-forward parts are computed, if not on the devices that attend."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from simulator.specs.part import NotNegative, Part
from simulator.workloads.dtypes import dtype


class FeedForwardSpec(Part):
    """A pool for each replica that feeds its layers forward, while the replica's own devices attend.

    The `parallel.data` attention groups of a replica share the pool and step together. `device` None is the
    scenario's own. Of the `devices`, `expert` groups share the experts of a layer, and the devices of a group each
    matrix. `link` names the link of each device on both sides. A batch is cut into `micro_batches` that take turns:
    at least 2 (1 + T_c / T_f) of them hide transfers of T_c behind steps of T_f on either side (arXiv:2504.02263,
    eq. 3), each reading the weights that it needs anew. `weights` is the format of the pool's weights where it
    is not the scenario's.
    """

    device: str | None = None
    devices: Annotated[int, Field(ge=1, le=4096)] = 1
    expert: Annotated[int, Field(ge=1, le=4096)] = 1
    link: str
    micro_batches: Annotated[int, Field(ge=1, le=16)] = 3
    weights: str | None = None
    memory_utilization: Annotated[float, Field(gt=0, le=1)] = 0.9
    """Share of the pool's device memory that weights and activations may fill."""
    calibration: str | None = None
    price_per_device_hour: NotNegative | None = None

    @model_validator(mode="after")
    def _groups(self) -> FeedForwardSpec:
        if self.devices % self.expert:
            raise ValueError(f"feed_forward.expert {self.expert} must divide feed_forward.devices {self.devices}")
        if self.weights is not None:
            dtype(self.weights)
        return self
