"""Energy of a graph's kernels: by operation, or by how busy arithmetic and memory are, on each device that runs any.

What an architecture cannot run is spent by the device beside it, which idles while the other works.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulator.hardware.beside import runner
from simulator.hardware.device import Device
from simulator.hardware.energy import operator_joules
from simulator.hardware.formats import peak_of
from simulator.hardware.law import TimingLaw
from simulator.hardware.power import device_power
from simulator.hardware.products import by_instructions
from simulator.hardware.unpacking import unpacked
from simulator.workloads.operators import AnyOperator, Size

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Spent:
    """Of a launch on device `on`: joules by operation, and seconds at the full peak and at the full bandwidth.

    Joules are 0 where the device publishes no energies of operations.
    """

    on: Device
    joules: Size
    compute: Size
    memory: Size

    def times(self, count: Size) -> Spent:
        """That of so many launches."""
        return Spent(self.on, self.joules * count, self.compute * count, self.memory * count)


def spent(op: AnyOperator, law: TimingLaw) -> Spent:
    """What one launch takes of the device that runs it.

    Instructions of a processor that are no multiply-adds keep its cores as busy as those that are.
    """
    on = runner(law.device, op)
    joules = operator_joules(op, on) if on.energy else 0.0
    if on.kind == "cpu" and (by_instructions(op) or unpacked(op)):
        compute = law.roofs(op).compute
    else:
        compute = op.flops() / (peak_of(on, op.compute) or max(on.peak_flops.values()))
    return Spent(on, joules, compute, op.bytes() / on.memory_bandwidth)


def joules(parts: Sequence[Spent], law: TimingLaw, seconds: Floats) -> Floats:
    """Joules of a forward pass of so many seconds, on the law's device and on those beside it that run a part.

    Zero for devices without a figure for it.
    """
    devices = {each.on.id: each.on for each in parts} | {law.device.id: law.device}
    found = np.zeros_like(seconds)
    for on in devices.values():
        mine = [each for each in parts if each.on.id == on.id]
        if on.energy:
            found = found + sum((p.joules for p in mine), np.zeros_like(seconds)) + on.idle_power * seconds
        elif on.tdp:
            lasting = np.maximum(seconds, 1e-30)
            shares = [
                np.minimum(sum((getattr(p, roof) for p in mine), np.zeros_like(seconds)) / lasting, 1.0)
                for roof in ("compute", "memory")
            ]
            found = found + device_power(on, *shares) * seconds
    return np.asarray(found)
