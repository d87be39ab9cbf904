"""Sources of items: cameras, microphones, users."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from simulator.specs.part import Count, NotNegative, Part, Positive
from simulator.specs.pipeline.laws import Next, Quantity, never_negative

TAKES = {
    "periodic": ("per_s", "phase_ms"),
    "poisson": ("per_s",),
    "renewal": ("between_ms",),
    "bursts": ("per_s", "size", "spacing_ms"),
    "recorded": ("times_s",),
    "chunks": ("chunk_ms", "lookahead_ms"),
    "closed": ("clients", "think_ms"),
}
NEEDS = {
    "periodic": "per_s",
    "poisson": "per_s",
    "renewal": "between_ms",
    "bursts": "per_s",
    "recorded": "times_s",
    "chunks": "chunk_ms",
    "closed": "clients",
}


class ArrivalsSpec(Part):
    """When items are created.

    periodic: `per_s` a second from `phase_ms` on; poisson; renewal: independent times `between_ms`; bursts: `size`
    items `spacing_ms` apart, Poisson bursts `per_s`; recorded: `times_s`; chunks: a stream of audio in chunks of
    `chunk_ms`, each of which can be processed once it and `lookahead_ms` after it are there (created when it began);
    closed: `clients` that each wait for an answer and then `think_ms`.
    """

    process: Literal["periodic", "poisson", "renewal", "bursts", "recorded", "chunks", "closed"]
    """The process by which items come."""
    per_s: Positive = 1.0
    phase_ms: NotNegative = 0.0
    between_ms: Quantity = 1.0
    size: Count = 1
    spacing_ms: NotNegative = 0.0
    times_s: list[NotNegative] = Field(default_factory=list)
    chunk_ms: Positive = 1.0
    lookahead_ms: NotNegative = 0.0
    clients: Annotated[int, Field(ge=1, le=100_000)] = 1
    think_ms: Quantity = 0.0

    @model_validator(mode="after")
    def _of_its_process(self) -> ArrivalsSpec:
        own = TAKES[self.process]
        for name in sorted(self.model_fields_set - {"process", *own}):
            raise ValueError(f"{name} changes nothing where process is {self.process}, which takes {', '.join(own)}")
        if NEEDS[self.process] not in self.model_fields_set:
            raise ValueError(f"process {self.process} needs {NEEDS[self.process]}: add it")
        if self.times_s != sorted(self.times_s):
            raise ValueError("times_s are not in ascending order")
        if self.between_ms == 0.0:
            raise ValueError("between_ms is 0: give the time between arrivals")
        never_negative(self.between_ms, "between_ms")
        never_negative(self.think_ms, "think_ms")
        return self


class SourceSpec(Part):
    """`count` sources alike, each of which emits `items` items or as many as come in `seconds`; periods are staggered.

    `attributes` are numbers of each item; `to` is a stage, "done", several stages side by side, or a policy.
    """

    arrivals: ArrivalsSpec
    to: Next
    count: Annotated[int, Field(ge=1, le=10_000)] = 1
    items: Annotated[int, Field(ge=1, le=2_000_000)] | None = None
    seconds: Positive | None = None
    attributes: dict[str, Quantity] = Field(default_factory=dict)
    deadline_ms: Positive | None = None
    """Time after its creation by which an item should be done."""
    priority: Annotated[int, Field(ge=0, le=1000)] = 0
    """Priority of its items where queues or devices go by it, the least number first."""

    @model_validator(mode="after")
    def _ends(self) -> SourceSpec:
        closed, recorded = (self.arrivals.process == p for p in ("closed", "recorded"))
        if self.items is None and self.seconds is None and not recorded:
            raise ValueError("the source never ends: give items or seconds")
        if closed and self.items is None:
            raise ValueError("a closed loop ends by items: give items")
        if closed and self.seconds is not None:
            raise ValueError("a closed loop ends by items: leave seconds out")
        return self
