"""Rounds of gradients by workers that may straggle, under a parameter server."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from simulator.specs.part import Count, NotNegative, Part, Positive

# Fields of each kind of slowdown.
TAKES = {
    "static": ("workers", "factor"),
    "jitter": ("mean", "law", "spread"),
    "transient": ("factor", "enter", "leave"),
}
Probability = Annotated[float, Field(gt=0, le=1)]


class WorkSpec(Part):
    """Seconds of a round on a usual worker: `base_s` for messages and the like, `batch_s` for a batch's gradient."""

    base_s: NotNegative = 0.0
    batch_s: Positive


class SlowdownSpec(Part):
    """A process that slows workers down.

    static: the first `workers` take `factor` times as long; jitter: each takes 1 + X times as long, X of `mean` and
    `law` (`spread`: deviation of a lognormal's logarithm); transient: a worker turns slow by `factor` with probability
    `enter` a round, and recovers with `leave`.
    """

    kind: Literal["static", "jitter", "transient"]
    workers: Count = 1
    factor: Annotated[float, Field(gt=0, le=1e6)] = 2.0
    mean: Positive = 0.1
    law: Literal["exponential", "lognormal"] = "exponential"
    spread: Positive = 1.0
    enter: Probability = 0.05
    leave: Probability = 0.5

    @model_validator(mode="after")
    def _of_its_kind(self) -> SlowdownSpec:
        own = TAKES[self.kind]
        for name in sorted(self.model_fields_set - {"kind", *own}):
            raise ValueError(f"{name} changes nothing where kind is {self.kind}, which takes {', '.join(own)}")
        return self


class RuleSpec(Part):
    """When a round ends, by name or `module:Class`, and its options."""

    policy: str = "wait-for-all"
    options: dict[str, Any] = Field(default_factory=dict)


class ProgressSpec(Part):
    """The loss above its least, 1 at the start: a round takes `rate` of it off and adds `noise` / (gradients used).

    Rounds go on until it is at `target`.
    """

    rate: Annotated[float, Field(gt=0, lt=1)]
    noise: NotNegative = 0.0
    target: Annotated[float, Field(gt=0, lt=1)]


class RoundsScenario(Part):
    """`rounds` rounds of gradients (at most as many with `progress`) by `workers` workers."""

    kind: Literal["rounds"]
    name: str = ""
    workers: Annotated[int, Field(ge=1, le=100_000)]
    rounds: Annotated[int, Field(ge=1, le=100_000)]
    seed: Annotated[int, Field(ge=0)] = 0
    work: WorkSpec
    slowdowns: list[SlowdownSpec] = Field(default_factory=list)
    rule: RuleSpec = RuleSpec()
    progress: ProgressSpec | None = None

    @model_validator(mode="after")
    def _small_enough(self) -> RoundsScenario:
        if self.rounds * self.workers > 50_000_000:
            raise ValueError("rounds x workers is over 50 million: take fewer of either")
        return self
