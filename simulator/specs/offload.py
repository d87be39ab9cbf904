"""Fields of a scenario that say where decode attention and the KV cache are, if not on the devices of the model."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from simulator.specs.part import NotNegative, Part, Positive


class AttentionOffloadSpec(Part):
    """A pool for each replica that keeps its KV cache: accelerators (`device`), or storage drives that compute.

    A drive has `capacity_gb` and reads `bandwidth_gb_s` of its own; an accelerator fills its memory up to
    `memory_utilization` unless `capacity_gb` says less. `link` names the link of each device. With `streamed`, drives
    send the cache each step and the model's devices attend. With `overlap`, halves of the batch take turns between
    the two sides. `watts` and `price_per_device_hour` are of one device of the pool.
    """

    device: str | None = None
    devices: Annotated[int, Field(ge=1, le=1024)] = 1
    """Accelerators or drives of the pool of one replica."""
    link: str
    overlap: bool = False
    streamed: bool = False
    capacity_gb: Positive | None = None
    bandwidth_gb_s: Positive | None = None
    memory_utilization: Annotated[float, Field(gt=0, le=1)] = 0.9
    calibration: str | None = None
    watts: NotNegative | None = None
    price_per_device_hour: NotNegative | None = None

    @model_validator(mode="after")
    def _accelerator_or_storage(self) -> AttentionOffloadSpec:
        if self.device is None and (self.capacity_gb is None or self.bandwidth_gb_s is None):
            raise ValueError(
                "attention_offload to storage needs capacity_gb and bandwidth_gb_s: give both, or a device"
            )
        if self.device is not None and (self.bandwidth_gb_s is not None or self.streamed or self.watts is not None):
            raise ValueError("bandwidth_gb_s, streamed and watts are of storage: leave them out beside device")
        return self
