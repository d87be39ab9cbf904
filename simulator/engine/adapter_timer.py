"""How much longer an iteration takes for the adapters in its batch."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from simulator.hardware.law import TimingLaw
from simulator.hardware.overheads import StepOverheads
from simulator.workloads.adapters import AdapterGraph
from simulator.workloads.operators import Call

# Batches whose seconds are remembered.
MEMORY = 4096


class AdapterTimer:
    """Times what adapters add to iterations: the sum of their operators, or what launching those takes if it is more.

    It depends on how many tokens each adapter has in the batch, and so not on the step of a run of equal batches.
    """

    def __init__(self, graph: AdapterGraph, law: TimingLaw, overheads: StepOverheads) -> None:
        self._graph = graph
        self._law = law
        self._overheads = overheads
        self._remembered = lru_cache(MEMORY)(self._stages)

    def stage_seconds(self, tokens: Mapping[int, int], total: int) -> tuple[float, ...]:
        """Seconds by pipeline stage for a batch of `total` tokens, so many of them of each adapter."""
        return self._remembered(tuple(sorted(tokens.items())), total)

    def merge_seconds(self, adapter: int) -> float:
        """Seconds to add an adapter to the base model's weights or to take it out; stages do it at once."""
        return max(self._sum(self._graph.merge_calls(adapter, stage)) for stage in self._graph.stages)

    def _stages(self, tokens: tuple[tuple[int, int], ...], total: int) -> tuple[float, ...]:
        found = []
        for stage in self._graph.stages:
            calls = self._graph.calls(dict(tokens), total, stage)
            launches = sum(call.count for call in calls) * self._overheads.eager
            floor = launches if total > self._overheads.graph_tokens else 0.0
            found.append(max(self._sum(calls), floor))
        return tuple(found)

    def _sum(self, calls: list[Call]) -> float:
        return float(sum(self._law.seconds(call.op) * call.count for call in calls))
