"""Fields of a scenario that describe speculative decoding."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from simulator.specs.part import Part


class DraftSpec(Part):
    """What writes drafts: "model", "mtp", "early-exit" or "n-gram", or `module:Class`, and its options."""

    source: str = "n-gram"
    """What writes drafts."""
    options: dict[str, Any] = Field(default_factory=dict)


class AcceptanceSpec(Part):
    """How likely a draft token is accepted: "constant", "beta" (by request) or "curve" (by depth), and its options."""

    law: str = "constant"
    """The law of acceptance."""
    options: dict[str, Any] = Field(default_factory=dict)


class SpeculationSpec(Part):
    """Speculative decoding: the policy for draft lengths, what writes drafts, and how they are accepted.

    With `asynchronous`, the next drafts are written while these are verified, on devices of the drafter's own. With
    `in_flight` above 1, so many runs of one request's drafts follow each other through the stages of a pipeline.
    Iterations are then simulated one by one, whatever `fast_forward` says.
    """

    policy: str = "none"
    options: dict[str, Any] = Field(default_factory=dict)
    draft: DraftSpec = DraftSpec()
    acceptance: AcceptanceSpec = AcceptanceSpec()
    asynchronous: bool = False
    in_flight: Annotated[int, Field(ge=1, le=1000)] = 1
