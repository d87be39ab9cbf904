"""The collectives by which replicas gather weights and reduce gradients, with the operators around them.

For p parameters over d replicas a device sends, in units of p (d - 1)/d elements: 2 in an all-reduce, 2 under ZeRO 1
and 2, 3 under ZeRO 3, which gathers weights for the forward and again for the backward pass (arXiv:1910.02054,
section 7).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

from simulator.policies.compression import Gradient, Reduction
from simulator.workloads.dtypes import DType
from simulator.workloads.operators import AnyOperator, Collective, Elementwise
from simulator.workloads.training.chunks import chunks_of
from simulator.workloads.training.communication import Shards
from simulator.workloads.training.job import Job


@dataclass(frozen=True)
class Exchange:
    """Builds what the replicas of a job exchange for a number of parameters, on one device.

    `routed`: the parameters are those of experts, which fewer devices have copies of, further apart.
    """

    job: Job
    routed: bool = False

    @property
    def replicas(self) -> int:
        return self.job.layout.holders // self._apart

    @property
    def stride(self) -> int:
        """Devices from one copy to the next."""
        return self.job.layout.tensor * self._apart

    @property
    def _apart(self) -> int:
        return self.job.layout.expert if self.routed else 1

    @cached_property
    def shards(self) -> Shards:
        return self.job.communication.shards_of(self.job.layout.zero, self.replicas)

    @property
    def each_micro_batch(self) -> bool:
        """Whether gradients are reduced after every micro-batch: they must where no device has room for all."""
        return self.shards.gradients > 1

    def forward_weights(self, parameters: float) -> Reduction:
        """Gather the weights of a layer for its forward pass."""
        return self._gather(parameters, self.shards.weights, self.job.communication.transport.weights)

    def backward_weights(self, parameters: float) -> Reduction:
        """Gather them again for its backward pass, from the second copy if there is one."""
        transport = self.job.communication.transport
        given = transport.weights if self.shards.secondary is None else transport.secondary
        return self._gather(parameters, self.shards.backward, given)

    def micro_batch_gradients(self, parameters: float) -> Reduction:
        """Reduce the gradients of a micro-batch over the replicas that share them out."""
        return self._scatter(parameters, self.shards.gradients, 1)

    def step_gradients(self, parameters: float) -> Reduction:
        """Reduce the accumulated gradients over the rest of the replicas, once a step."""
        shards, replicas = self.shards, self.replicas
        own = parameters / shards.gradients
        if shards.gradients == 1 and shards.optimizer == 1:
            bytes_each = self.job.formats.gradients.bytes
            return self.job.communication.compression.reduction(
                Gradient(own, bytes_each, self.matrices(own)), replicas, self.stride
            )
        scatter = self._scatter(own, shards.optimizer // shards.gradients, shards.gradients)
        rest = self._all_reduce(own / (shards.optimizer // shards.gradients), replicas // shards.optimizer)
        return Reduction((*scatter.before, *rest.before), (*scatter.links, *rest.links), (*scatter.after, *rest.after))

    def updated_weights(self, parameters: float) -> Reduction:
        """Gather the updated weights from those who keep their optimiser states, once a step."""
        shards = self.shards
        world, own = shards.optimizer // shards.weights, parameters / shards.weights
        stride = self.stride * shards.weights
        links = (Collective("all_gather", own * self.job.formats.stored.bytes, world, stride),) if world > 1 else ()
        return Reduction((), links, ())

    def matrices(self, parameters: float) -> tuple[tuple[float, float, float], ...]:
        """Weight matrices as (rows, columns, how many) that so many parameters are: all as wide as the model."""
        hidden = float(chunks_of(self.job).width)
        return ((hidden, hidden, parameters / hidden**2),)

    def _gather(self, parameters: float, world: int, given: DType | None) -> Reduction:
        if world == 1:
            return Reduction((), (), ())
        stored, stride = self.job.formats.stored, self.stride
        link = Collective("all_gather", parameters * (given or stored).bytes, world, stride)
        if given is None:
            return Reduction((), (link,), ())
        return Reduction((recast(parameters / world, stored, given),), (link,), (recast(parameters, given, stored),))

    def _scatter(self, parameters: float, world: int, apart: int) -> Reduction:
        """Quantised gradients go to all at once and are summed there (ZeRO++, section 3.3), others around the ring."""
        if world == 1:
            return Reduction((), (), ())
        gradients, given = self.job.formats.gradients, self.job.communication.transport.gradients
        stride = self.stride * apart
        if given is None:
            return Reduction((), (Collective("reduce_scatter", parameters * gradients.bytes, world, stride),), ())
        hop = math.gcd(self.job.communication.transport.hop, world)
        before: list[AnyOperator] = [recast(parameters, gradients, given)]
        links: list[Collective] = []
        if hop > 1:
            links.append(Collective("all_to_all", parameters * given.bytes, hop, stride))
            before += [recast(parameters, given, gradients), recast(parameters / hop, gradients, given)]
        if world > hop:
            links.append(Collective("all_to_all", parameters / hop * given.bytes, world // hop, stride * hop))
        return Reduction(tuple(before), tuple(links), (recast(parameters / hop, given, gradients),))

    def _all_reduce(self, parameters: float, world: int) -> Reduction:
        if world == 1:
            return Reduction((), (), ())
        stride = self.stride * self.shards.optimizer
        message = parameters * self.job.formats.gradients.bytes
        return Reduction((), (Collective("all_reduce", message, world, stride),), ())


def exchanges(job: Job, parameters: float, routed: float) -> list[tuple[Exchange, float]]:
    """What is exchanged for a device's parameters, and of how many of them: those `routed` are its experts'."""
    if job.layout.expert == 1:
        return [(Exchange(job), parameters)]
    found = [(Exchange(job), parameters - routed), (Exchange(job, routed=True), routed)]
    return [(exchange, own) for exchange, own in found if own]


def recast(elements: float, given: DType, wanted: DType) -> AnyOperator:
    """Read numbers in one format, write them in another: quantise or dequantise."""
    return Elementwise(elements, 1.0, wanted.bytes / given.bytes, 4.0, given)


def sent_bytes(link: Collective) -> float:
    """Bytes that one device puts on its links: 2(p-1)/p of the message of an all-reduce, (p-1)/p of others."""
    if link.pattern == "send_recv":
        return float(link.message)
    return float(link.message) * (link.world - 1) / link.world * (2.0 if link.pattern == "all_reduce" else 1.0)
