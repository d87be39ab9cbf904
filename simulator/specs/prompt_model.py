"""Fields of a scenario whose prompts are computed by a smaller model."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from simulator.specs.part import Part


class PromptModelSpec(Part):
    """An auxiliary `model` that computes prompts, and linear maps from its KV cache to that of the scenario's model.

    `layers` says which of its layers (from 0) each layer of the scenario's model is mapped from; without it they are
    spread evenly, in order. `weights` is the format of its weights and of the maps, without it the published one.
    The auxiliary model's own cache is kept beside the other, in the same blocks: chunks of a prompt and cached
    prefixes find it there. The last token of a prompt goes through the scenario's model, which gives the first token.
    """

    model: str
    layers: tuple[Annotated[int, Field(ge=0)], ...] | None = None
    weights: str | None = None
