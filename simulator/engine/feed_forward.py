"""The pool of devices that feeds a replica's layers forward, while the replica's own devices attend.

Attention-FFN disaggregation: MegaScale-Infer (arXiv:2504.02263) and Step-3 (arXiv:2507.19427). In each layer the
activations of every token go to the pool and come back; `simulator.engine.ping_pong` times the two sides together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from simulator.engine.memory import RUNTIME_BYTES
from simulator.errors import InputError
from simulator.hardware.device import Device
from simulator.hardware.law import TimingLaw
from simulator.hardware.links import Link
from simulator.policies.batching.state import Limits
from simulator.workloads.dtypes import DType
from simulator.workloads.expert_serving import ExpertServing
from simulator.workloads.parallelism import Parallelism, Precision
from simulator.workloads.sides import busiest, copies, feed_forward_bytes
from simulator.workloads.transformer import Experts, FeedForward, Layer, Transformer

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class PoolMemory:
    """Bytes of one device of the pool: what there is, what may be used, weights, and activations in flight."""

    capacity: float
    usable: float
    weights: float
    activations: float


@dataclass(frozen=True)
class FeedForwardPool:
    """`devices` equal devices in `expert` groups that hold one replica's feed-forward weights.

    A batch is cut into at most `micro_batches` that take turns between the two sides. Every device, of the pool and
    of the replica, has one `link`. `weights` is the format of the weights where it is not the model's. `price` is US
    dollars a device-hour.
    """

    law: TimingLaw
    devices: int
    expert: int
    link: Link
    micro_batches: int
    weights: DType | None = None
    memory_utilization: float = 0.9
    price: float | None = None

    @property
    def device(self) -> Device:
        return self.law.device

    def layout(self, experts: ExpertServing) -> Parallelism:
        """Groups share the experts; the devices of a group share every matrix."""
        return Parallelism(tensor=self.devices // self.expert, data=self.expert, expert=self.expert, experts=experts)

    def precision(self, model: Precision) -> Precision:
        """The formats on the pool."""
        return model if self.weights is None else replace(model, weights=self.weights, experts=self.weights)

    def cut(self, tokens: Floats, groups: int) -> Floats:
        """Micro-batches of iterations of so many tokens: as many as may be, each with a token for every group."""
        return np.clip(tokens // groups, 1, self.micro_batches)

    def transfer_seconds(
        self, model: Transformer, parallel: Parallelism, precision: Precision, layer: Layer, tokens: Floats
    ) -> Floats:
        """Seconds that the links are busy with `tokens` (any shape) of all attention groups, one way in one layer.

        A token goes to each group that it needs, a part of it over the link of each device of its attention group
        (arXiv:2504.02263, eq. 6); the slower side sets the pace. As much comes back.
        """
        layout = self.layout(parallel.experts)
        each = model.hidden * precision.activations.bytes * copies(layer, layout)
        left = np.ceil(tokens / parallel.data) / parallel.tensor
        arrived = tokens * busiest(layer, layout) / self.devices
        return np.asarray(each * np.maximum(left, arrived) / (self.link.bandwidth * self.link.efficiency))

    def memory(self, model: Transformer, parallel: Parallelism, precision: Precision, limits: Limits) -> PoolMemory:
        """The memory of one device of the pool. Raises `InputError` if the weights do not fit."""
        layout = self.layout(parallel.experts)
        found = PoolMemory(
            self.device.memory_capacity,
            self.device.memory_capacity * self.memory_utilization,
            feed_forward_bytes(model, layout, self.precision(precision)),
            self._activations(model, layout, precision, limits),
        )
        needed = found.weights + found.activations + RUNTIME_BYTES
        if needed > found.usable:
            raise InputError(
                f"feed_forward: {model.name} does not fit on {self.devices} x {self.device.id}: each device needs "
                f"{needed / 1e9:.4g} GB ({found.weights / 1e9:.4g} GB of weights) and {found.usable / 1e9:.4g} GB are "
                "usable: raise feed_forward.devices, or give feed_forward.weights in a smaller format"
            )
        return found

    def _activations(self, model: Transformer, layout: Parallelism, precision: Precision, limits: Limits) -> float:
        """Bytes of the widest moment of one micro-batch: inputs, outputs, and both halves of a gated part."""
        tokens = limits.max_num_batched_tokens / self.micro_batches
        most = 0.0
        for layer in set(model.layers):
            rows = tokens * copies(layer, layout) / layout.expert * busiest(layer, layout)
            most = max(most, rows * (2 * model.hidden + 3 * _width(layer.ffn) / layout.tensor))
        return most * precision.activations.bytes

    def check(self, model: Transformer, parallel: Parallelism) -> None:
        """Raise `InputError` for a layout of either side that is not modelled."""
        if parallel.pipeline > 1 or parallel.expert > 1:
            raise InputError(
                "feed_forward beside parallel.pipeline or parallel.expert is not modelled: leave them at 1, and spread "
                "experts with feed_forward.expert"
            )
        if any(layer.parallel_ffn for layer in model.layers):
            raise InputError(
                f"feed_forward: {model.name} attends and feeds forward side by side, so that neither waits for the "
                "other: leave the field out"
            )
        if self.expert > 1:
            _check_experts(model.layers, parallel.experts, self.expert, model.name)


def _check_experts(layers: Sequence[Layer], serving: ExpertServing, groups: int, name: str) -> None:
    counts = {layer.ffn.experts for layer in layers if isinstance(layer.ffn, Experts)}
    if not counts:
        raise InputError(f"feed_forward.expert {groups} needs experts, and {name} has none: leave it at 1")
    for count in counts:
        if count % groups or (serving.redundant or 0) % groups:
            raise InputError(
                f"feed_forward.expert {groups} does not divide the {count} experts of {name} and "
                f"{serving.redundant or 0} redundant ones: change either"
            )


def _width(ffn: FeedForward | Experts) -> int:
    return ffn.expert.intermediate if isinstance(ffn, Experts) else ffn.intermediate
