"""A question of architecture: which networks of a space are quick, small and frugal on a device?"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from simulator.specs.part import Count, Part, Positive


class NetworkSearch(Part):
    """Candidates of `scenario`, an inference scenario's fields, with other values of those that `space` names.

    `space` lists values by dotted name ("options.width", "options.stages.2.kernel", "format", "device"). All candidates
    are timed, or `candidates` of them drawn at random. `minimise` and `maximise` name columns of the result; `score` is
    `module:function` of the user's, which gives each row of the table another figure (the accuracy that a predictor
    expects, say) as the column "score". Those within the `limits` and on the front of all objectives are reported.
    """

    kind: Literal["network-search"]
    name: str = ""
    scenario: dict[str, Any]
    space: Annotated[dict[str, Annotated[list[Any], Field(min_length=1)]], Field(min_length=1)]
    candidates: Count = 100_000
    minimise: list[str] = Field(default_factory=lambda: ["latency_ms"])
    maximise: list[str] = Field(default_factory=lambda: ["macs"])
    limits: dict[str, Positive] = Field(default_factory=dict)
    score: str | None = None
    best: Annotated[int, Field(ge=1, le=1000)] = 20
    """Candidates that are listed."""
    seed: int = 0
