"""Devices, links and stores that stages share."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from simulator.specs.part import Count, NotNegative, Part, Positive

TAKES = {
    "steady": ("mbit_per_s",),
    "recorded": ("mbit_per_s", "seconds"),
    "gilbert-elliott": ("mbit_per_s", "bad_mbit_per_s", "good_s", "bad_s"),
}


class ContentionSpec(Part):
    """Share of a device that others leave over: `available` for `seconds` each, again from the start after the last."""

    available: Annotated[list[Annotated[float, Field(ge=0, le=1)]], Field(min_length=1)]
    seconds: Annotated[list[Positive], Field(min_length=1)]

    @model_validator(mode="after")
    def _pairs(self) -> ContentionSpec:
        if len(self.available) != len(self.seconds):
            raise ValueError("give as many seconds as shares available")
        if not any(self.available):
            raise ValueError("nothing is ever available")
        return self


class DeviceSpec(Part):
    """A device: by name with its datasheet, or none for services whose times are given.

    `servers` of it work side by side, each `1 / servers` of the device where it is named (cores, partitions). fcfs and
    priority (the least number first) serve one piece of work at a time on each; processor-sharing all at once; lanes
    are for one model, whose runs share each step as a batch does and come and go at any of them. Power is the
    datasheet's unless given.
    """

    device: str | None = None
    sharing: Literal["fcfs", "priority", "processor-sharing", "lanes"] = "fcfs"
    """How pieces of work share it."""
    servers: Annotated[int, Field(ge=1, le=100_000)] = 1
    contention: ContentionSpec | None = None
    calibration: str | None = None
    calibrated: bool = True
    """Whether measurements of this device itself are used; without, its relatives' are."""
    idle_w: NotNegative | None = None
    """Power while nothing runs."""
    busy_w: NotNegative | None = None
    """Power while something runs."""

    @model_validator(mode="after")
    def _one_where_shared(self) -> DeviceSpec:
        if self.sharing in ("processor-sharing", "lanes") and self.servers > 1:
            raise ValueError(f"{self.sharing} shares the whole device: leave servers out")
        return self


class LinkSpec(Part):
    """A link with a latency one way, and packets that are lost with a probability and sent again.

    steady; recorded: `mbit_per_s` for `seconds` each, in a circle; gilbert-elliott: two rates, each for exponential
    times. Power is of sending, at one end.
    """

    rate: Literal["steady", "recorded", "gilbert-elliott"] = "steady"
    """How its rate goes over time."""
    mbit_per_s: Positive | list[NotNegative]
    seconds: list[Positive] = Field(default_factory=list)
    bad_mbit_per_s: NotNegative = 0.0
    """The rate in the bad state."""
    good_s: Positive = 1.0
    """Mean time in the good state."""
    bad_s: Positive = 1.0
    """Mean time in the bad state."""
    latency_ms: NotNegative = 0.0
    """Time that a packet travels."""
    loss: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Probability that a packet is lost."""
    packet_bytes: Positive = 1500.0
    """Bytes of a packet."""
    retries: Annotated[int, Field(ge=0, le=1000)] = 100
    """How often a packet is sent again before the transfer fails."""
    sharing: Literal["fcfs", "priority", "processor-sharing"] = "fcfs"
    """How transfers share it."""
    idle_w: NotNegative = 0.0
    """Power while nothing is sent."""
    busy_w: NotNegative = 0.0
    """Power while something is sent."""

    @model_validator(mode="after")
    def _of_its_rate(self) -> LinkSpec:
        fields = {name for own in TAKES.values() for name in own}
        for name in sorted((self.model_fields_set & fields) - set(TAKES[self.rate])):
            raise ValueError(f"{name} changes nothing where rate is {self.rate}")
        listed = isinstance(self.mbit_per_s, list)
        if listed != (self.rate == "recorded"):
            raise ValueError("mbit_per_s is a list where rate is recorded, else a number")
        if isinstance(self.mbit_per_s, list):
            if len(self.mbit_per_s) != len(self.seconds):
                raise ValueError("give as many seconds as mbit_per_s")
            if not any(self.mbit_per_s):
                raise ValueError("mbit_per_s is never above 0")
        return self


class StoreSpec(Part):
    """A drive or memory under random reads; one reader has at most `depth` reads under way."""

    iops: Positive
    """Reads a second, at most."""
    gb_per_s: Positive
    """Rate of reading."""
    latency_us: NotNegative
    """Time of one read besides the bytes."""
    depth: Count = 64
    idle_w: NotNegative = 0.0
    """Power while nothing is read."""
    busy_w: NotNegative = 0.0
    """Power while something is read."""
