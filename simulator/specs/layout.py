"""Fields of a scenario that say how a replica is laid out and in which number formats it computes."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from simulator.specs.part import Part
from simulator.workloads.dtypes import dtype


class ParallelSpec(Part):
    """Devices of one replica: tensor x data x pipeline of them; `expert` spreads experts over a stage."""

    tensor: Annotated[int, Field(ge=1, le=1024)] = 1
    """Devices that share each matrix."""
    pipeline: Annotated[int, Field(ge=1, le=256)] = 1
    """Stages that the layers are cut into."""
    data: Annotated[int, Field(ge=1, le=1024)] = 1
    """Groups that attend to sequences of their own; experts are shared by all."""
    expert: Annotated[int, Field(ge=1, le=1024)] = 1


class PrecisionSpec(Part):
    """Number formats; `weights` None keeps the format that the checkpoint is published in."""

    weights: str | None = None
    activations: str | None = None
    """Format that products compute in; by default what the weights ask for."""
    kv_cache: str | None = None
    """Format of cached keys and values; by default that of the activations."""
    experts: str | None = None
    """Format of the experts' weights where it is not that of the others."""

    @model_validator(mode="after")
    def _known(self) -> PrecisionSpec:
        for name in ("weights", "activations", "kv_cache", "experts"):
            value = getattr(self, name)
            if value is not None:
                dtype(value)
        return self
