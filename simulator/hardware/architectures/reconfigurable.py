"""Reconfigurable dataflow with tiers of memory: sections of a graph laid out at once, what is between them on chip.

Prabhakar et al., "SambaNova SN40L", arXiv:2405.07518, sections 3 and 4: operators of a section get compute units in
proportion to their work and stream tiles to one another through on-chip memory; only weights and the ends of a section
cross the memory outside. Weights beyond the fast memory come from the large one behind it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from simulator.hardware.architectures.architecture import Launches
from simulator.hardware.architectures.pipeline import allotted, lead, spread
from simulator.hardware.architectures.work import missing_format, work_of
from simulator.hardware.formats import peak_of
from simulator.hardware.kernels import Roofs
from simulator.workloads.operators import AnyOperator

if TYPE_CHECKING:
    from simulator.hardware.device import Device

Section = list[tuple[AnyOperator, float]]


@dataclass(frozen=True)
class Reconfigurable:
    """The device's `sm` compute units, its "sram", `fast` bytes of memory at its bandwidth and a large one behind.

    The large memory gives `large_bandwidth` bytes a second. A section takes `launch_us` to set up; without `fused` each
    operator is one of its own. `reached` is the share of the fast memory's bandwidth that streams reach.
    """

    fast: float
    large_bandwidth: float
    launch_us: float = 5.0
    fused: bool = True
    reached: float = 0.85

    @property
    def separable(self) -> bool:
        return not self.fused

    def lacks(self, op: AnyOperator, device: Device) -> str | None:
        return missing_format(op, device)

    def roofs(self, op: AnyOperator, device: Device) -> Roofs:
        """One operator as a section of its own, with its weights in the fast memory."""
        return self._section([(op, 1.0)], device, 1.0 / (device.memory_bandwidth * self.reached))[0]

    def schedule(self, launches: Launches, device: Device) -> tuple[Roofs, ...]:
        """Sections one after the other, each as long as the launches that fit the on-chip memory."""
        ops = [(op, float(n)) for op, n in launches]
        total = sum(float(work_of(op).weights) * n for op, n in ops)
        near = min(1.0, self.fast / total) if total else 1.0
        a_byte = near / (device.memory_bandwidth * self.reached) + (1.0 - near) / self.large_bandwidth
        return tuple(r for section in self.sections(ops, device) for r in self._section(section, device, a_byte))

    def sections(self, ops: Section, device: Device) -> list[Section]:
        """Operators in their order, joined while their weights and double-buffered results fit the on-chip memory."""
        found: list[Section] = []
        held = np.inf
        for op, count in ops:
            work = work_of(op)
            needed = float(work.weights) * count + 2.0 * float(work.written)
            if not self.fused or held + needed > device.cache["sram"]:
                found.append([])
                held = 0.0
            found[-1].append((op, count))
            held += needed
        return found

    def _section(self, section: Section, device: Device, a_byte: float) -> list[Roofs]:
        """The filling of its stages and the slowest of them, or its weights and ends over the memory outside."""
        works, counts = [work_of(op) for op, _ in section], np.array([n for _, n in section])
        peaks = np.array([peak_of(device, w.format) or np.inf for w in works])
        seconds = np.array([2.0 * float(w.macs) + float(w.flops) for w in works]) * counts / peaks
        units = device.units["sm"]
        stages = seconds * units / allotted(seconds, np.full(len(seconds), units), units)
        filling = stages * np.array([lead(op) for op, _ in section])
        slowest = int(np.argmax(stages))
        compute = float(stages[slowest] + np.delete(filling, slowest).sum())
        weights = float(sum(float(w.weights) * n for w, n in zip(works, counts, strict=True)))
        ends = float(works[0].read) + float(works[-1].written)
        memory = weights * a_byte + ends / (device.memory_bandwidth * self.reached)
        return spread(compute, memory, self.launch_us * 1e-6, seconds, list(counts))
