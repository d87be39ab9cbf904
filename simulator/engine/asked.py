"""A request as it enters a plan: what the plan knows of it, and where it stands in its load."""

from __future__ import annotations

from dataclasses import dataclass

from simulator.engine.sequences import ExtentBuilder
from simulator.policies.plans.plan import Call, Query
from simulator.policies.sequence import Extent
from simulator.workloads.requests import Requests


@dataclass(frozen=True, slots=True)
class Asked:
    """A request with where it stands in its load: row `row` of `chunk`."""

    query: Query
    arrival: float
    chunk: Requests
    row: int

    def extents(self, call: Call, block_tokens: int) -> list[Extent] | None:
        """What the leading KV blocks of a call hold, None where nobody else could have the same."""
        if call.shared is not None:
            identity, tokens = call.shared
            return [(identity, tokens // block_tokens)] if tokens >= block_tokens else None
        if not call.repeats or self.chunk.prefix is None:
            return None
        own, query = call.prompt_tokens, self.query
        alike = own == query.prompt_tokens and call.output_tokens == query.output_tokens
        return ExtentBuilder(self.chunk.prefix, block_tokens).of(
            self.row, query.prompt_tokens, query.output_tokens if alike else 0
        )
