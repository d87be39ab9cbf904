"""Training without a backward pass, by workers that exchange scalars."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from simulator.hardware.links import link
from simulator.specs.part import Count, NotNegative, Part, Positive


class ZerothOrderSpec(Part):
    """`probes` random directions a step, of each two forward passes and a scalar of `bits` bits for all other replicas.

    `directions` say whether each micro-batch has its own, or all of a step share theirs. One pass over the weights adds
    up to `fused` directions to them. Replicas exchange over the devices' network, or
    over a `link` each, with `gbit_per_s` and `latency_ms` before those of the link: with all others, or with so many
    `neighbours` that pass scalars on; a message has `header_bytes` (TCP and IPv4: 40).
    """

    probes: Annotated[int, Field(ge=1, le=1024)] = 1
    directions: Literal["step", "micro-batch"] = "step"
    fused: Count = 1
    bits: Annotated[float, Field(gt=0, le=64)] = 8.0
    link: str | None = None
    gbit_per_s: Positive | None = None
    latency_ms: NotNegative | None = None
    neighbours: Count | None = None
    header_bytes: NotNegative = 40.0

    @model_validator(mode="after")
    def _over_a_link(self) -> ZerothOrderSpec:
        if self.link is not None:
            link(self.link)
            return self
        for name in sorted(self.model_fields_set & {"gbit_per_s", "latency_ms", "neighbours", "header_bytes"}):
            raise ValueError(f"{name} is of a link: give link too, or leave it out")
        return self
