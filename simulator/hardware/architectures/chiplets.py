"""Devices of several dies: filters dealt to the dies, inputs sent to all of them, results gathered.

Simba (Shao et al., MICRO 2019): a package of small dies on a mesh, each with arrays and memory of its own.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from simulator.hardware.architectures.systolic import Systolic
from simulator.hardware.architectures.work import Product, Work, missing_format, work_of
from simulator.hardware.formats import peak_of
from simulator.hardware.kernels import Roofs
from simulator.workloads.operators import AnyOperator, Size

if TYPE_CHECKING:
    from simulator.hardware.device import Device


@dataclass(frozen=True)
class Chiplets:
    """`dies` alike, each a `die` of arrays; between dies `link_bandwidth` bytes a second and `link_ns` a hop.

    Weights stay on the dies where all dies' memory ("sram") holds those of an operator, else they come from outside.
    """

    dies: float
    die: Systolic
    link_bandwidth: float
    link_ns: float = 20.0

    def lacks(self, op: AnyOperator, device: Device) -> str | None:
        return missing_format(op, device)

    def roofs(self, op: AnyOperator, device: Device) -> Roofs:
        """Arithmetic of the dies against the links, each of which carries all inputs once and its share of results."""
        work = work_of(op)
        clock = device.units["clock_ghz"] * 1e9
        used = self._used(work)
        arrays = 2.0 * self.die.rows * self.die.columns * self.die.arrays * self.dies * clock
        speed = (peak_of(device, work.format) or arrays) / arrays
        cycles: Size = sum((self.die.cycles(self._share(p, work), work.depthwise) for p in work.products), 0.0)
        cycles = cycles if work.products else work.results / (self.die.lanes * self.dies)
        carried = np.where(np.asarray(work.depthwise) > 0, work.read / used, work.read) + work.written / used
        link = np.where(np.asarray(used) > 1, carried / self.link_bandwidth, 0.0)
        outside = np.where(np.asarray(work.weights) > device.cache["sram"], work.weights / device.memory_bandwidth, 0.0)
        hops = 2.0 * np.sqrt(self.dies) * self.link_ns * 1e-9
        return Roofs(cycles / speed / clock, np.maximum(link, outside), np.where(np.asarray(used) > 1, hops, 0.0))

    def _share(self, product: Product, work: Work) -> Product:
        """One die's part: filters, or channels where each makes its own results."""
        alone = np.asarray(work.depthwise) > 0
        n = np.where(alone, product.n, np.ceil(product.n / self.dies))
        return replace(product, n=n, count=np.where(alone, np.ceil(product.count / self.dies), product.count))

    def _used(self, work: Work) -> Size:
        """Dies that have a filter or channel at all."""
        parts: Size = sum((np.where(np.asarray(work.depthwise) > 0, p.count, p.n) for p in work.products), 0.0)
        return np.clip(parts, 1.0, self.dies) if work.products else np.asarray(self.dies)
