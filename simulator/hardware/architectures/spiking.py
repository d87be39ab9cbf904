"""Neuromorphic chips: work only where a neuron has fired, all layers at once, in steps that cores agree on.

Loihi (Davies et al., IEEE Micro 2018): cores hold neurons and their synapses; a step ends at a barrier of all when
the slowest has handled its events. A layer sees an input's spike one step after the layer before it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from simulator.errors import InputError
from simulator.hardware.architectures.architecture import Launches
from simulator.hardware.architectures.pipeline import spread
from simulator.hardware.architectures.work import work_of
from simulator.hardware.kernels import Roofs
from simulator.workloads.operators import AnyOperator, Size

if TYPE_CHECKING:
    from simulator.hardware.device import Device


@dataclass(frozen=True)
class Spiking:
    """The device's `sm` cores hold `neurons` each and handle `core_events` synaptic operations a second each.

    An answer takes `steps` steps with a barrier of `barrier_us`; an input fires in `activity` of them.
    """

    neurons: float
    core_events: float
    barrier_us: float
    steps: float = 32.0
    activity: float = 0.1

    @property
    def separable(self) -> bool:
        return False

    def lacks(self, op: AnyOperator, device: Device) -> str | None:
        return None

    def events(self, op: AnyOperator) -> Size:
        """Synaptic operations of an answer: each multiply-add once for each spike of its input."""
        return work_of(op).macs * self.activity * self.steps

    def roofs(self, op: AnyOperator, device: Device) -> Roofs:
        """A network of one layer."""
        return self.schedule([(op, 1.0)], device)[0]

    def schedule(self, launches: Launches, device: Device) -> tuple[Roofs, ...]:
        """Steps of the slowest layer, as many as the input has and one for each layer that a spike passes.

        Raises `InputError` where the neurons of all layers outnumber those of the cores.
        """
        works = [work_of(op) for op, _ in launches]
        counts = np.array([float(n) for _, n in launches])
        layers = np.array([bool(w.products) for w in works])
        cores = np.array([np.ceil(float(w.results) * n / self.neurons) for w, n in zip(works, counts, strict=True)])
        needed = float(cores[layers].sum())
        if needed > device.units["sm"]:
            missing = needed - device.units["sm"]
            raise InputError(
                f"device {device.id}: the network's neurons take {needed:,.0f} cores of {self.neurons:,.0f}, "
                f"{missing:,.0f} more than there are; give a smaller network, or a file of a board with more chips"
            )
        spare = device.units["sm"] / max(needed, 1.0)
        events = np.array([float(w.macs) * n * self.activity for w, n in zip(works, counts, strict=True)])
        slowest = float(np.max(events / (np.maximum(cores, 1.0) * np.floor(spare) * self.core_events), initial=0.0))
        times = self.steps + max(int(layers.sum()) - 1, 0)
        return tuple(spread(times * slowest, 0.0, times * self.barrier_us * 1e-6, events, list(counts)))
