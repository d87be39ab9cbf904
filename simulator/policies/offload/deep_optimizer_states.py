"""Deep Optimizer States: the update's subgroups in turn on the host's processors and on the device."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from simulator.policies.offload.plan import LayerSizes, Plan


class DeepOptimizerStates:
    """Every so many subgroups one goes to the device, while the host updates the others (arXiv:2410.21316, section 4).

    Which one in how many is chosen by the step's time among strides up to `most`.
    """

    moves: Literal["layers"] = "layers"

    def __init__(self, subgroup: float = 1e8, most: int = 6) -> None:
        self.subgroup = subgroup
        self.most = most

    def plans(self, layers: Sequence[LayerSizes]) -> Sequence[Plan]:
        return [
            Plan(gradients="host", states="host", subgroup=self.subgroup, stride=stride)
            for stride in (0, *range(1, self.most + 1))
        ]
