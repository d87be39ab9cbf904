"""A question of layout: how should this model train on so many devices?"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from simulator.specs.part import Count, Part


class TrainingPlan(Part):
    """Search the layout of `scenario`, a training scenario's fields, on `devices` devices.

    `search` lists the values of any of its fields that are tried, by dotted name; the degrees of parallelism, the
    micro-batch, recomputation and ZeRO have usual values of their own. `best` layouts are reported. `believed` are
    fields that the search takes for other than they are, such as a network without slow links; the layout that it
    chooses is simulated as the scenario really is. A kind of file of its own and no option of `simulator train`: it
    asks for a number of devices and values to try where a scenario states one layout.
    """

    kind: Literal["training-plan"]
    name: str = ""
    devices: Count
    scenario: dict[str, Any]
    search: dict[str, Annotated[list[Any], Field(min_length=1)]] = Field(default_factory=dict)
    believed: dict[str, Any] = Field(default_factory=dict)
    best: Annotated[int, Field(ge=1, le=100)] = 5
