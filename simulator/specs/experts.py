"""Fields of a scenario that say how a mixture of experts is served."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from simulator.specs.part import Part
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
    """How experts are served: `skew` is the exponent of their popularity by rank, 0 for all equal.

    `redundant` rebalances the ranks of expert parallelism with so many more copies of popular experts a layer (0:
    by placement alone, None: not at all). `local_share` of what all-to-all would move between ranks stays where it
    is, as tokens and experts are grouped by predicted routes.
    """

    skew: Annotated[float, Field(ge=0, le=4)] = 0.0
    redundant: Annotated[int, Field(ge=0, le=4096)] | None = None
    local_share: Share = 0.0
    offload: OffloadSpec | None = None

    @model_validator(mode="after")
    def _copies_or_offload(self) -> ExpertsSpec:
        if self.redundant is not None and self.offload is not None:
            raise ValueError("redundant beside offload is not modelled: leave one of the two out")
        return self

    def serving(self) -> ExpertServing:
        """The same as plain data for the operators."""
        offload = None if self.offload is None else Offload(**self.offload.model_dump())
        return ExpertServing(self.skew, self.redundant, self.local_share, offload)
