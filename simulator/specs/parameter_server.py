"""Workers of a training job that push gradients to a parameter server and pull weights."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, model_validator

from simulator.hardware.device import device
from simulator.hardware.links import link
from simulator.specs.part import Count, NotNegative, Part, Positive


class ParameterServerSpec(Part):
    """A worker is `replicas_per_worker` replicas of the layout; `stragglers` of the scenario slow its devices down.

    Workers do up to `local_steps` steps between pushes, `dealt` to them by a rule's name or `module:Class`. If
    `overlapped` they begin the next ones with the weights that they have, while a push and a pull are under way.

    After `local_steps` steps a worker pushes gradients (of one step) or the change of its weights (of several), in
    `push_bits` bits a parameter if given, over its own `link` to `servers` that hold equal parts of the model; each
    server's own link carries `server_gbit_per_s` (as much as a worker's where None). `gbit_per_s` and `latency_ms` go
    before those of the link; with neither, every device of a worker sends its part over the link between nodes.
    Servers update on a `server_device`, one of the workers' kind where None. The consistency model is named or
    `module:Class`.
    The run ends with the first worker that has done `steps` pushes, and figures leave out `warm_up` of them.
    """

    policy: str = "asynchronous"
    options: dict[str, Any] = Field(default_factory=dict)
    replicas_per_worker: Count = 1
    local_steps: Count = 1
    dealt: str = "equal"
    overlapped: bool = False
    push_bits: Annotated[float, Field(gt=0, le=64)] | None = None
    link: str | None = None
    gbit_per_s: Positive | None = None
    latency_ms: NotNegative | None = None
    servers: Annotated[int, Field(ge=1, le=100_000)] = 1
    server_gbit_per_s: Positive | None = None
    server_device: str | None = None
    steps: Annotated[int, Field(ge=1, le=100_000)] = 100
    warm_up: Annotated[int, Field(ge=0)] = 10

    @model_validator(mode="after")
    def _known(self) -> ParameterServerSpec:
        if self.link is not None:
            link(self.link)
        if self.server_device is not None:
            device(self.server_device)
        if self.warm_up >= self.steps:
            raise ValueError(f"warm_up {self.warm_up} leaves none of {self.steps} steps: take fewer")
        return self
