"""Deep Optimizer States: the update's subgroups in turn on the host's processors and on the device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from simulator.policies.offload.plan import LayerSizes, Plan


class DeepOptimizerStates:
    """Every so many subgroups one goes to the device, while the host updates the others (arXiv:2410.21316, section 4).

    Which one in how many is chosen by the step's time among strides from two up to `most`. `full_gradients` and
    `rescaled` are those of `Plan`.
    """

    moves: Literal["layers"] = "layers"

    def __init__(
        self, subgroup: float = 1e8, most: int = 6, full_gradients: bool = False, rescaled: bool = False
    ) -> None:
        self.plan = Plan(
            gradients="host", states="host", subgroup=subgroup, full_gradients=full_gradients, rescaled=rescaled
        )
        self.most = most

    def plans(self, layers: Sequence[LayerSizes]) -> Sequence[Plan]:
        return [replace(self.plan, stride=stride) for stride in (0, *range(2, self.most + 1))]
