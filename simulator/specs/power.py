"""Fields of a scenario that say how much power its servers may draw together, and what keeps them to it."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from simulator.specs.part import NotNegative, Part, Positive

Share = Annotated[float, Field(gt=0, le=1)]
Number = Annotated[int, Field(ge=0)]


class PowerSpec(Part):
    """A power budget of `budget_w` watts for all replicas, each of which is one server, and the policy that keeps it.

    The policy, by name or `module:Class`, is asked every `every_s` seconds with the mean power since it was asked
    last, and its clocks are in force `delay_s` later. After POLCA (arXiv:2308.12908), whose control is out of band,
    rows are read every 2 s, and servers follow within 40 s but brake within 5 s. A reading above the budget brakes all
    servers to `brake_clock` (288 of an A100's 1410 MHz; null: never). Clocks are shares of the full one.

    `low_priority` is the share of the servers, spread evenly, or the list of those by number, that a policy may slow
    down first; `host_w` is what a server draws beside its devices. `server_w` is what the budget sets aside for every
    server, as for a nameplate: then no more servers than fit are allowed. Without it they may be any number.
    """

    budget_w: Positive
    server_w: Positive | None = None
    host_w: NotNegative = 0.0
    policy: str = "none"
    options: dict[str, Any] = Field(default_factory=dict)
    every_s: Positive = 2.0
    delay_s: NotNegative = 40.0
    brake_delay_s: NotNegative = 5.0
    """Time from a reading above the budget until the brake holds."""
    brake_clock: Share | None = 0.204
    low_priority: Annotated[float, Field(ge=0, le=1)] | list[Number] = 0.0

    @property
    def most_servers(self) -> int | None:
        """Servers that the budget is enough for; None where nothing is set aside for each."""
        return None if self.server_w is None else int(self.budget_w / self.server_w)
