"""Fields of a scenario that say how a mixture of experts is served."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from simulator.spec import Part
from simulator.workloads.expert_serving import ExpertServing, Offload

Share = Annotated[float, Field(ge=0, le=1)]


class OffloadSpec(Part):
    """Experts in host memory; `cached_share` of them take device memory, kept by `eviction`.

    `accuracy` is the share of experts that a predictor names rightly a layer ahead; None loads them when needed.
    """

    cached_share: Annotated[float, Field(gt=0, le=1)]
    eviction: Literal["lru", "static"] = "lru"
    accuracy: Share | None = None


class ExpertsSpec(Part):
    """How experts are served: `skew` is the exponent of their popularity by rank, 0 for all equal."""

    skew: Annotated[float, Field(ge=0, le=4)] = 0.0
    offload: OffloadSpec | None = None

    def serving(self) -> ExpertServing:
        """The same as plain data for the operators."""
        return ExpertServing(self.skew, None if self.offload is None else Offload(**self.offload.model_dump()))
