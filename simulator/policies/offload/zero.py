"""The offloading of DeepSpeed: ZeRO-Offload and ZeRO-Infinity."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from simulator.policies.offload.plan import LayerSizes, Plan, Tier


class ZeroOffload:
    """Gradients and states in host memory, weights on the device; the host's processors update (arXiv:2101.06840).

    Section 4.1: gradients go to the host as they come, updated weights come back. `subgroup` parameters are updated
    at a time.
    """

    moves: Literal["layers"] = "layers"

    def __init__(self, subgroup: float = 1e9, activations: Tier = "device") -> None:
        self.subgroup = subgroup
        self.activations = activations

    def plans(self, layers: Sequence[LayerSizes]) -> Sequence[Plan]:
        return [Plan(gradients="host", states="host", activations=self.activations, subgroup=self.subgroup)]


class ZeroInfinity:
    """Every tensor on a tier of its own, weights gathered from slices of all ranks (arXiv:2104.07857).

    `slices` False has each layer's owner bring and broadcast it (section 6.1, the design it replaces); `tiles` is
    memory-centric tiling (section 5.1.3); `prefetch` layers come ahead (section 6.2). The update follows the last
    backward pass; states of `staged` subgroups pass through the host beside the one that is updated (0: each is read,
    updated and written before the next, as DeepSpeed does unless pipeline_read and pipeline_write are set).
    """

    moves: Literal["layers"] = "layers"

    def __init__(
        self,
        weights: Tier = "nvme",
        gradients: Tier = "host",
        states: Tier = "nvme",
        activations: Tier = "host",
        slices: bool = True,
        tiles: int = 1,
        prefetch: int = 2,
        staged: int = 2,
        subgroup: float = 1e9,
    ) -> None:
        self.plan = Plan(
            weights,
            gradients,
            states,
            activations,
            slices=slices,
            tiles=tiles,
            prefetch=prefetch,
            staged=staged,
            subgroup=subgroup,
        )

    def plans(self, layers: Sequence[LayerSizes]) -> Sequence[Plan]:
        return [self.plan]
