"""Stages of a pipeline that are not all alike."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, model_validator

from simulator.hardware.links import link
from simulator.specs.part import Count, NotNegative, Part


class StageSpec(Part):
    """`count` stages in a row that are alike, of `layers` layers each; what is left out is as in the scenario."""

    count: Annotated[int, Field(ge=1, le=1024)] = 1
    device: str | None = None
    node: str | None = None
    tensor: Annotated[int, Field(ge=1, le=1024)] | None = None
    """Devices that share each matrix of these stages."""
    layers: Count | None = None
    price_per_device_hour: NotNegative | None = None


class PartitionSpec(Part):
    """How layers are dealt to stages, by name or `module:Class`, and the policy's options."""

    policy: str = "equal"
    options: dict[str, Any] = Field(default_factory=dict)


class StagesSpec(Part):
    """The stages in order. The link `between` joins nodes of unlike kinds, by default the slower of their own networks.

    Layers are those of all stages, or dealt by `partition`.
    """

    of: Annotated[list[StageSpec], Field(min_length=1, max_length=1024)]
    between: str | None = None
    partition: PartitionSpec = PartitionSpec()

    @model_validator(mode="after")
    def _known(self) -> StagesSpec:
        if self.between is not None:
            link(self.between)
        return self

    @property
    def each(self) -> list[StageSpec]:
        """The stages one by one."""
        return [stage for stage in self.of for _ in range(stage.count)]
