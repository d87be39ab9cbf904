"""Fields of a scenario that describe the adapters of its model and how they are served."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from simulator.specs.part import Part
from simulator.workloads.adapters import AdapterSet, TunedExperts

Target = Literal["q", "k", "v", "o", "gate", "up", "down"]


class TunedExpertsSpec(Part):
    """Fine-tuned experts of each adapter: so many a layer, and the share of its tokens' visits that go to them."""

    per_layer: Annotated[int, Field(ge=1, le=4096)]
    """Fine-tuned experts of one adapter in each layer."""
    visit_share: Annotated[float, Field(gt=0, le=1)]
    """Share of the visits of the adapter's tokens that go to its own experts."""


class AdaptersSpec(Part):
    """`count` adapters of the model, which requests ask for by number; all are in host memory.

    LoRAs of `ranks` (gone through again and again) on the `targets`, or with `experts` sets of fine-tuned experts.
    `policy`, by name or `module:Class`, says how they are kept and served.
    """

    count: Annotated[int, Field(ge=1, le=1_000_000)]
    ranks: Annotated[tuple[Annotated[int, Field(ge=1, le=4096)], ...], Field(min_length=1)] = (16,)
    targets: Annotated[tuple[Target, ...], Field(min_length=1)] = ("q", "k", "v", "o")
    experts: TunedExpertsSpec | None = None
    policy: str = "unified"
    options: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _targets_once(self) -> AdaptersSpec:
        if len(set(self.targets)) < len(self.targets):
            raise ValueError("targets: one is named twice: name each once")
        if self.experts is not None and {"ranks", "targets"} & self.model_fields_set:
            raise ValueError("ranks and targets are of LoRAs: leave them out beside experts")
        return self

    def adapters(self) -> AdapterSet:
        """The same as plain data for the operators."""
        tuned = None if self.experts is None else TunedExperts(**self.experts.model_dump())
        return AdapterSet(self.count, self.ranks, tuple(self.targets), tuned)
