"""Sites that train together over slow links."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, model_validator

from simulator.hardware.links import link
from simulator.specs.part import NotNegative, Part, Positive


class PresenceSpec(Part):
    """Sites that come and go over `days`: mean hours of a stay (`stay_h`) and of an absence (`absence_h`).

    Others wait `timeout_s` for one that left; one that comes back copies the state from a peer, while the others go
    on if `live`.
    """

    days: Positive
    stay_h: Positive
    absence_h: Positive
    timeout_s: NotNegative = 60.0
    live: bool = True
    seed: Annotated[int, Field(ge=0)] = 0


class SitesSpec(Part):
    """`count` sites of the scenario's layout each, in a ring over `link`; `gbit_per_s` and `latency_ms` in its place.

    The policy of synchronisation is named or `module:Class`. `target_utilisation` is the share of time in which sites
    are to compute, for which the required bandwidth is given.
    """

    count: Annotated[int, Field(ge=2, le=100_000)]
    link: str = "wan-10g"
    gbit_per_s: Positive | None = None
    latency_ms: NotNegative | None = None
    policy: str = "diloco"
    options: dict[str, Any] = Field(default_factory=dict)
    target_utilisation: Annotated[float, Field(gt=0, lt=1)] = 0.95
    presence: PresenceSpec | None = None

    @model_validator(mode="after")
    def _known(self) -> SitesSpec:
        link(self.link)
        return self
