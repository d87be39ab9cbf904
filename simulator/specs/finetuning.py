"""Fields of a scenario that describe parameter-efficient fine-tuning beside serving."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, model_validator

from simulator.specs.part import Count, Part


class AdapterSpec(Part):
    """The low-rank adapter that is trained: its rank, and the linear layers that have one, by their usual names."""

    rank: Annotated[int, Field(ge=1, le=65536)] = 16
    """Rank of the adapter's matrices."""
    targets: Annotated[tuple[str, ...], Field(min_length=1)] = ("q_proj", "v_proj")
    """Linear layers that have an adapter."""

    @model_validator(mode="after")
    def _once_each(self) -> AdapterSpec:
        if len(set(self.targets)) < len(self.targets):
            raise ValueError("targets names a layer twice: give each once")
        return self


class SpatialSpec(Part):
    """Fine-tuning on `units` of each serving device's units, over one copy of the weights, requests on the others.

    `saturating_units` of the units draw the whole memory bandwidth, and fine-tuning draws `traffic` of it: both are
    shares, fixed for the run.
    """

    units: Annotated[float, Field(gt=0, lt=1)] = 0.4
    saturating_units: Annotated[float, Field(gt=0, le=1)] = 0.5
    traffic: Annotated[float, Field(ge=0, lt=1)] = 0.2


class FinetuningSpec(Part):
    """Sequences of `sequence_tokens`, without end, that train an adapter of the served model until the last request.

    `policy` (by name or `module:Class`) says how many of their tokens an iteration takes on each replica that decodes;
    "none" leaves it to `dedicated_replicas` that serve nothing, or to a part of each device (`spatial`).
    `window_tokens` bounds what shares an iteration, and each forward window; the optimiser steps every
    `sequences_per_step` sequences. With `prune_activations` only what frozen weights leave needed is kept for the
    backward pass. Where a policy's share changes from one iteration to the next ("co-serving"), iterations are
    simulated one by one, whatever `fast_forward` says.
    """

    policy: str = "co-serving"
    options: dict[str, Any] = Field(default_factory=dict)
    adapter: AdapterSpec = AdapterSpec()
    sequence_tokens: Annotated[int, Field(ge=1, le=100_000_000)] = 2048
    window_tokens: Annotated[int, Field(ge=1, le=100_000_000)] = 1024
    sequences_per_step: Count = 1
    prune_activations: bool = True
    dedicated_replicas: Annotated[int, Field(ge=0, le=100_000)] = 0
    spatial: SpatialSpec | None = None

    @model_validator(mode="after")
    def _somewhere(self) -> FinetuningSpec:
        if self.spatial is not None and (self.policy != "none" or self.dedicated_replicas):
            raise ValueError("spatial takes the place of a policy and of dedicated_replicas: set policy to none")
        if self.policy == "none" and not self.dedicated_replicas and self.spatial is None:
            raise ValueError("policy none fine-tunes nothing: give dedicated_replicas, spatial, or another policy")
        return self
