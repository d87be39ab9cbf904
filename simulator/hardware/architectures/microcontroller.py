"""Microcontrollers: one or few small cores, SRAM for activations, Flash for weights, no DRAM.

Time is cycles: so many a multiply-add by format and by kernel, as libraries such as CMSIS-NN (Lai et al.,
arXiv:1801.06601) and PULP-NN (Garofalo et al., arXiv:1908.11263) reach them, and so many a result.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from simulator.hardware.architectures.work import work_of
from simulator.hardware.formats import format_on
from simulator.hardware.kernels import Roofs
from simulator.workloads.operators import AnyOperator, Size

if TYPE_CHECKING:
    from simulator.hardware.device import Device


@dataclass(frozen=True)
class Microcontroller:
    """`mac_cycles` of one core for a multiply-add by format, `depthwise_cycles` where inputs serve one result channel.

    `result_cycles` are spent on each result of a product (requantise, bounds, loop), `element_cycles` on each number
    that any other kernel goes through, `call_cycles` on each call. `flash` bytes hold the model and give
    `flash_bandwidth` bytes a second after wait states; weights are read once for every `reuse` rows. `cores` share the
    rows of a kernel.
    """

    mac_cycles: dict[str, float]
    flash: float
    flash_bandwidth: float
    depthwise_cycles: dict[str, float] = field(default_factory=dict)
    result_cycles: float = 10.0
    element_cycles: float = 5.0
    call_cycles: float = 1000.0
    reuse: float = 2.0
    flash_cache: float = 0.0
    cores: float = 1.0

    def roofs(self, op: AnyOperator, device: Device) -> Roofs:
        """Cycles of the cores against weights from Flash."""
        work = work_of(op)
        clock = device.units["clock_ghz"] * 1e9
        name = format_on(self.mac_cycles, work.format) or work.format
        usual = self.mac_cycles[name]
        each = np.where(np.asarray(work.depthwise) > 0, self.depthwise_cycles.get(name, usual), usual)
        if work.products:
            spent = work.macs * each + work.results * self.result_cycles
        else:
            spent = np.maximum(work.results, work.elements) * self.element_cycles
        spent = spent / self._busy(work.results)
        rows: Size = sum((p.m for p in work.products), 0.0)
        again = np.where(np.asarray(work.weights) > self.flash_cache, np.ceil(rows / self.reuse), 1.0)
        flash = work.weights * np.maximum(again, 1.0) / self.flash_bandwidth
        sram = (work.read + work.written) / device.memory_bandwidth
        return Roofs(spent / clock, flash + sram, self.call_cycles / clock)

    def lacks(self, op: AnyOperator, device: Device) -> str | None:
        name = work_of(op).format
        return None if format_on(self.mac_cycles, name) else f"{name} arithmetic"

    def _busy(self, results: Size) -> Size:
        """Cores at work on average: the last round of results may leave some idle."""
        rounds = np.ceil(np.maximum(results, 1.0) / self.cores)
        return np.maximum(results, 1.0) / rounds
