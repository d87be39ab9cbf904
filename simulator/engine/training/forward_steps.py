"""What a step without a backward pass does besides its forward passes: weights that move, and scalars that are told."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from simulator.engine.training.peers import Peers
from simulator.workloads.dtypes import DTYPES
from simulator.workloads.operators import AnyOperator, Call, Collective
from simulator.workloads.training.job import Job
from simulator.workloads.training.zeroth_order import ZerothOrder

LOSS = DTYPES["fp32"].bytes


@dataclass(frozen=True, slots=True)
class ForwardSteps:
    """Zeroth-order steps of a job, whose operators take as long as `of` says; without `peers`, over their network."""

    job: Job[Any]
    rule: ZerothOrder
    of: Callable[[AnyOperator], float]
    peers: Peers | None

    @property
    def directions(self) -> int:
        """Directions of a replica in a step."""
        return self.rule.directions(self.job.micro_batches // self.rule.forwards)

    @property
    def payload(self) -> float:
        """Bytes of a replica's scalars of a step."""
        return self.rule.payload(self.directions)

    @property
    def exchange_seconds(self) -> float:
        """Seconds of what replicas tell each other, once all ranks of each know its losses."""
        layout, losses = self.job.layout, 2.0 * self.directions * LOSS
        inside = self.of(Collective("all_reduce", losses, layout.context, layout.tensor))
        inside += self.of(Collective("all_gather", losses, layout.pipeline, layout.tensor * layout.copies))
        if self.peers is not None:
            return inside + self.peers.seconds(layout.data, self.payload)
        everything = layout.data * self.payload
        return inside + self.of(Collective("all_gather", everything, layout.data, layout.tensor * layout.context))

    @property
    def sent(self) -> float:
        """Bytes that a replica sends the others in a step."""
        workers, payload = self.job.layout.data, self.payload
        return (workers - 1) * payload if self.peers is None else self.peers.sent(workers, payload)

    def perturbing(self, parameters: float) -> float:
        """Seconds of moving a device's weights around the forward passes."""
        return self._seconds(self.rule.perturbations(parameters, self.job.formats.stored, self.directions))

    def updating(self, parameters: float) -> float:
        """Seconds of adding the directions of all replicas to a device's weights."""
        return self._seconds(self._updates(parameters))

    def moved(self, parameters: float) -> float:
        """Bytes of memory that both read and write."""
        around = self.rule.perturbations(parameters, self.job.formats.stored, self.directions)
        return sum(float(np.asarray(c.op.bytes())) * c.count for c in (*around, *self._updates(parameters)))

    def _updates(self, parameters: float) -> Iterator[Call]:
        return self.rule.updates(parameters, self.job.formats.stored, self.directions * self.job.layout.data)

    def _seconds(self, calls: Iterable[Call]) -> float:
        return sum(self.of(call.op) * call.count for call in calls)
