"""Spiking networks: neurons that keep a potential, and products that only add weights where a spike arrives."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from simulator.workloads.graphs.kinds.convolution import CONVOLUTION
from simulator.workloads.graphs.kinds.kind import Attributes, Kind, Operands, Work, first, streamed
from simulator.workloads.graphs.kinds.product import PRODUCT
from simulator.workloads.graphs.tensor import Shape, Tensor

ADDRESS = 4.0  # bytes of an event: the number of the neuron that fired


def _neuron_shapes(attributes: Attributes, operands: Operands) -> tuple[Shape, ...]:
    """Spikes, and the potentials after this time step."""
    current = first(operands).shape
    return (current, current)


def _neuron_work(attributes: Attributes, operands: Operands, results: Sequence[Tensor]) -> Work:
    """Leak, sum, compare and reset: four FLOPs a neuron; its potential is read and written in each time step."""
    return streamed(operands, results, 4.0)


def _events(dense: Kind) -> Callable[[Attributes, Operands, Sequence[Tensor]], Work]:
    """The work of a product on events: of its multiply-adds, the share `rate` whose input fired, as additions."""

    def work(attributes: Attributes, operands: Operands, results: Sequence[Tensor]) -> Work:
        rate = attributes["rate"]
        spikes, weights, out = first(operands), operands[1], results[0]
        assert weights is not None
        additions = sum((op.flops() * count for op, count in dense.work(attributes, operands, results)), 0.0) / 2.0
        read = spikes.elements * rate * ADDRESS + weights.bytes
        return streamed(operands, results, additions * rate / out.elements, "events", reads=read)

    return work


SPIKING = {
    "LIF": Kind(_neuron_shapes, _neuron_work),
    "EventConv": Kind(CONVOLUTION["Conv"].shapes, _events(CONVOLUTION["Conv"])),
    "EventMatMul": Kind(PRODUCT["MatMul"].shapes, _events(PRODUCT["MatMul"])),
}
