"""The offloading of DeepSpeed: ZeRO-Offload and ZeRO-Infinity."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from simulator.policies.offload.plan import Copying, LayerSizes, Plan, Tier


class ZeroOffload:
    """Gradients and states in host memory, weights on the device; the host's processors update (arXiv:2101.06840).

    Section 4.1: gradients go to the host as they come, updated weights come back. `subgroup` parameters are updated
    at a time. The other options are those of `Plan`: DeepSpeed's stage 3 kept `full_gradients` in the host, `rescaled`
    them there, and until its pull requests 6670 and 8207 made pageable `copies`.
    """

    moves: Literal["layers"] = "layers"

    def __init__(
        self,
        subgroup: float = 1e9,
        activations: Tier = "device",
        copies: Copying = "beside",
        full_gradients: bool = False,
        rescaled: bool = False,
    ) -> None:
        self.plan = Plan(
            gradients="host",
            states="host",
            activations=activations,
            subgroup=subgroup,
            copies=copies,
            full_gradients=full_gradients,
            rescaled=rescaled,
        )

    def plans(self, layers: Sequence[LayerSizes]) -> Sequence[Plan]:
        return [self.plan]


class ZeroInfinity:
    """Every tensor on a tier of its own, weights gathered from slices of all ranks (arXiv:2104.07857).

    `slices` False has each layer's owner bring and broadcast it (section 6.1, the design it replaces); `tiles` is
    memory-centric tiling (section 5.1.3); `prefetch` layers come ahead (section 6.2). The update follows the last
    backward pass; states of `staged` subgroups pass through the host beside the one that is updated (0: each is read,
    updated and written before the next, as DeepSpeed does unless pipeline_read and pipeline_write are set). The other
    options are those of `Plan`.
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
        copies: Copying = "beside",
        activation_copies: Copying = "beside",
        full_gradients: bool = False,
        rescaled: bool = False,
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
            copies=copies,
            activation_copies=activation_copies,
            full_gradients=full_gradients,
            rescaled=rescaled,
        )

    def plans(self, layers: Sequence[LayerSizes]) -> Sequence[Plan]:
        return [self.plan]
