"""Systolic arrays: products folded onto rows x columns of multipliers, operands double-buffered in on-chip memory.

Cycles of a fold: SCALE-Sim (Samajdar et al., arXiv:1811.02883; ISPASS 2020, equations 3 and 4): 2 R + C + T - 2 for
an array of R x C and T steps, of which there are ceil(S_R / R) ceil(S_C / C). The rows, columns and steps of an
m x k by k x n product are (m, n, k) where outputs stay, (k, n, m) where weights stay and (k, m, n) where inputs stay.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from simulator.hardware.architectures.architecture import Launches
from simulator.hardware.architectures.work import Product, Work, missing_format, work_of
from simulator.hardware.formats import peak_of
from simulator.hardware.kernels import Roofs
from simulator.workloads.operators import AnyOperator, Size

if TYPE_CHECKING:
    from simulator.hardware.device import Device

Stationary = Literal["output", "weight", "input"]


@dataclass(frozen=True)
class Systolic:
    """`arrays` arrays of `rows` x `columns` multipliers that keep the `stationary` operand in place.

    `prefetch` says that the next fold's operand is loaded behind the fold that runs, so that filling and draining are
    paid once a product. `packed` lays several channels of a depth-wise convolution into one fold, block by block.
    `lanes` numbers a cycle go through the unit for pointwise work, or as many operations where it does `one_a_cycle`;
    arithmetic that is part of a product's kernel is done in the array if that is `versatile`, else hidden. With
    `on_chip` activations never leave the chip between layers, and up to `resident` bytes of weights stay there from one
    answer to the next. `setup_us` is spent before each operator.
    """

    rows: float
    columns: float
    stationary: Stationary = "weight"
    arrays: float = 1.0
    lanes: float = 64.0
    prefetch: bool = False
    packed: bool = False
    on_chip: bool = False
    resident: float = 0.0
    setup_us: float = 0.0
    one_a_cycle: bool = False
    versatile: bool = False

    @property
    def separable(self) -> bool:
        """Without memory that outlives an operator."""
        return not (self.on_chip or self.resident)

    def roofs(self, op: AnyOperator, device: Device) -> Roofs:
        """One operator whose weights come from memory."""
        return self._roofs(work_of(op), device, 1.0)

    def lacks(self, op: AnyOperator, device: Device) -> str | None:
        return missing_format(op, device)

    def schedule(self, launches: Launches, device: Device) -> tuple[Roofs, ...]:
        """The share of all weights that does not stay on the chip streams in for each answer; ends cross the link."""
        work = [work_of(op) for op, _ in launches]
        total = sum(float(np.max(w.weights)) for w in work)
        streamed = max(0.0, 1.0 - self.resident / total) if total else 1.0
        found = [self._roofs(w, device, streamed) for w in work]
        if self.on_chip and found:
            for at, moved in ((0, work[0].read), (-1, work[-1].written)):
                ends = moved / device.memory_bandwidth / launches[at][1]
                found[at] = Roofs(found[at].compute, found[at].memory + ends, found[at].overhead)
        return tuple(found)

    def cycles(self, product: Product, depthwise: Size = 0.0) -> Size:
        """Cycles of all folds of a product."""
        down, across, steps = self._mapped(product)
        together: Size = 1.0
        if self.packed:
            fit = np.minimum(self.rows // np.maximum(product.k, 1.0), self.columns // np.maximum(product.n, 1.0))
            together = np.where(np.asarray(depthwise) > 0, np.maximum(fit, 1.0), 1.0)
        groups = np.ceil(product.count / together)
        folds = np.ceil(down / self.rows) * np.ceil(across / self.columns) * groups
        rounds = np.ceil(folds / self.arrays)
        if self.prefetch:
            return rounds * np.maximum(steps, self.rows) + 2.0 * self.rows + self.columns - 2.0
        return rounds * (2.0 * self.rows + self.columns + steps - 2.0)

    def _mapped(self, p: Product) -> tuple[Size, Size, Size]:
        """Extent over the rows, over the columns, and in steps."""
        if self.stationary == "output":
            return p.m, p.n, p.k
        return (p.k, p.n, p.m) if self.stationary == "weight" else (p.k, p.m, p.n)

    def _roofs(self, work: Work, device: Device, streamed: float) -> Roofs:
        clock = device.units["clock_ghz"] * 1e9
        peak = peak_of(device, work.format) or np.inf
        speed = peak / (2.0 * self.rows * self.columns * self.arrays * clock)  # formats wider than the array's own
        spent: Size = sum((self.cycles(p, work.depthwise) for p in work.products), 0.0) / speed
        if not work.products:
            spent = (np.maximum(work.results, work.flops) if self.one_a_cycle else work.results) / self.lanes
        elif self.versatile:
            spent = spent + work.flops / (self.rows * self.columns * self.arrays)
        return Roofs(spent / clock, self._moved(work, device, streamed) / device.memory_bandwidth, self.setup_us * 1e-6)

    def _moved(self, work: Work, device: Device, streamed: float) -> Size:
        """Bytes over the memory: an operand that does not fit half its buffer makes the other come again.

        A third of the on-chip memory is for each operand, half of that for the tile that is worked on (double
        buffering). Either weights stay and inputs are read again for each tile of them, or the other way round.
        """
        if self.on_chip:
            return work.weights * streamed
        tile = device.cache.get("sram", np.inf) / 6.0
        inputs_again = work.weights * streamed + work.read * np.maximum(np.ceil(work.weights / tile), 1.0)
        weights_again = work.read + work.weights * streamed * np.maximum(np.ceil(work.read / tile), 1.0)
        return np.minimum(inputs_again, weights_again) + work.written
