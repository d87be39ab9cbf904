"""Fuyou: the update runs beside the backward pass, and activations are swapped where that pays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from simulator.policies.offload.plan import LayerSizes, Plan, Tier


class Fuyou:
    """States and weights on drives, each layer updated as its gradients come (arXiv:2403.06504, sections 3.2-3.4).

    Of each layer's activations those that take the longest to form for their bytes are swapped first; how many is
    chosen by the step's time, as its profiled step does; `prefetch` layers come ahead, or fewer where the device has
    no room for them. Gradients pass through host memory.
    """

    moves: Literal["layers"] = "layers"

    def __init__(
        self, weights: Tier = "nvme", states: Tier = "nvme", activations: Tier = "nvme", prefetch: int = 2
    ) -> None:
        self.weights: Tier = weights
        self.states: Tier = states
        self.activations: Tier = activations
        self.prefetch = prefetch

    def plans(self, layers: Sequence[LayerSizes]) -> Sequence[Plan]:
        most = max(len(layer.activations) for layer in layers)
        ahead = sorted({self.prefetch, min(1, self.prefetch)}, reverse=True)
        return [self._swapping(layers, count, prefetch) for prefetch in ahead for count in range(most + 1)]

    def _swapping(self, layers: Sequence[LayerSizes], count: int, prefetch: int) -> Plan:
        return Plan(
            self.weights,
            "host",
            self.states,
            self.activations,
            swapped=tuple(frozenset(_worth_most(layer)[:count]) for layer in layers),
            update="layer",
            prefetch=prefetch,
        )


def _worth_most(layer: LayerSizes) -> list[int]:
    """Numbers of a layer's activations, those first that save the most seconds a byte."""
    found = layer.activations
    return sorted(range(len(found)), key=lambda n: -found[n].seconds / found[n].bytes)
