"""Fields of a scenario that say which requests come and what is expected of them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from simulator.specs.part import Count, Part, Positive


class LoadSpec(Part):
    """The requests: a `trace` file or a `generator`, offered open-loop, or by `concurrency` clients.

    A generator is a mapping (arrivals, lengths, ...) or the name of a load of `simulator list workloads`.

    `sessions` is "times" (turns arrive at their times) or "wait" (not before the turn before has finished).
    """

    trace: str | None = None
    format: str | None = None
    """The trace's format, where file and columns do not tell."""
    on_error: Literal["stop", "skip"] = "stop"
    """Whether a damaged row stops the run, or is skipped and counted."""
    generator: dict[str, Any] | str | None = None
    limit: Count | None = None
    """Only the first so many requests."""
    speed_up: Positive = 1.0
    """Arrival times are divided by this."""
    concurrency: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    sessions: Literal["times", "wait"] = "times"

    @model_validator(mode="after")
    def _one_source(self) -> LoadSpec:
        if (self.trace is None) == (self.generator is None):
            raise ValueError("give either trace (a file) or generator (arrivals and lengths), and not both")
        return self


class ObjectiveSpec(Part):
    """Latency objectives of a request, in milliseconds; goodput counts the requests that meet all given."""

    ttft_ms: Positive | None = None
    """Most time to the first token."""
    tpot_ms: Positive | None = None
    """Most time per output token after the first."""
    e2e_ms: Positive | None = None
    """Most time from arrival to the last token."""
