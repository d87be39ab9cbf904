"""Field-programmable gate arrays: each layer a stage of its own, or one engine that layers take turns on.

Stages as in FINN (Umuroglu et al., arXiv:1612.07119, section 4.3) and DNNBuilder (Zhang et al., ICCAD 2018, section 4):
a stage is unrolled in proportion to its work under the budget of multipliers, an answer comes every so often as the
slowest stage takes (initiation interval), and the first after the stages have filled. The engine is the tiled loop nest
of Zhang et al. (FPGA 2015, section 3): so many outputs times so many inputs a cycle.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from simulator.errors import InputError
from simulator.hardware.architectures.architecture import Launches
from simulator.hardware.architectures.pipeline import allotted, lead
from simulator.hardware.architectures.work import Work, work_of
from simulator.hardware.formats import format_on
from simulator.hardware.kernels import Roofs
from simulator.workloads.operators import AnyOperator, Size

if TYPE_CHECKING:
    from simulator.hardware.device import Device

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Spatial:
    """`dsps` slices that do `dsp_macs` multiply-adds a cycle each by format, and `luts` of which one takes `mac_luts`.

    Placement and routing leave `usable` of them. Weights stay in on-chip memory (the device's "sram") if all fit beside
    the buffers, which take `buffers` of it, else they stream in for each answer, at the share `reached` of the memory's
    bandwidth. A stage is `depth` cycles
    deep: hls4ml's dense layers take about four each (Duarte et al., arXiv:1804.06913, section 4).
    """

    dsps: float
    dsp_macs: dict[str, float]
    luts: float = 0.0
    mac_luts: dict[str, float] = field(default_factory=dict)
    mode: Literal["stages", "engine"] = "stages"
    usable: float = 0.8
    buffers: float = 0.2
    depth: float = 5.0
    reached: float = 1.0

    @property
    def separable(self) -> bool:
        return self.mode == "engine"

    def multipliers(self, format: str) -> float:
        """Multiply-adds a cycle of the whole device."""
        name = format_on(self.dsp_macs, format) or format
        logic = self.luts / self.mac_luts[name] if name in self.mac_luts else 0.0
        return self.usable * (self.dsps * self.dsp_macs[name] + logic)

    def lacks(self, op: AnyOperator, device: Device) -> str | None:
        name = work_of(op).format
        return None if format_on(self.dsp_macs, name) else f"{name} multipliers"

    def roofs(self, op: AnyOperator, device: Device) -> Roofs:
        """One operator on the engine, or as a pipeline of one stage."""
        if self.mode == "stages":
            return self.schedule([(op, 1.0)], device)[0]
        work = work_of(op)
        outputs = 2.0 ** np.floor(np.log2(self.multipliers(work.format)) / 2.0)
        inputs = np.floor(self.multipliers(work.format) / outputs)
        cycles: Size = sum((p.count * p.m * np.ceil(p.n / outputs) * np.ceil(p.k / inputs) for p in work.products), 0.0)
        cycles = cycles if work.products else work.results / outputs
        held = device.cache["sram"] * (1.0 - self.buffers)
        beside = np.where(np.asarray(work.read + work.written) > held, work.read + work.written, 0.0)
        moved = (work.weights + beside) / (device.memory_bandwidth * self.reached)
        return Roofs(cycles / self._clock(device), moved, self.depth / self._clock(device))

    def schedule(self, launches: Launches, device: Device) -> tuple[Roofs, ...]:
        """The filling of each stage but the slowest, which takes the interval in which it does all its work.

        Raises `InputError` where there are more stages than multipliers.
        """
        if self.mode == "engine":
            return tuple(self.roofs(op, device) for op, _ in launches)
        works, counts = self._stages(launches)
        cycles = self._cycles(works, counts)
        slowest = int(np.argmax(cycles))
        taken = np.array([lead(op) for op, _ in launches]) * cycles
        taken[slowest] = cycles[slowest]
        seconds = (taken + self.depth) / self._clock(device)
        streamed = self._streamed(works, counts, device)
        found = [Roofs(spent / n, 0.0, 0.0) for spent, n in zip(seconds, counts, strict=True)]
        found[slowest] = Roofs(found[slowest].compute, streamed / counts[slowest], 0.0)
        return tuple(found)

    def interval(self, launches: Launches, device: Device) -> float:
        """Seconds from one answer to the next: the slowest stage, or the weights that stream in."""
        if self.mode == "engine":
            roofs = [self.roofs(op, device) for op, _ in launches]
            return sum(float(r.seconds()) * float(n) for r, (_, n) in zip(roofs, launches, strict=True))
        works, counts = self._stages(launches)
        slowest = float(self._cycles(works, counts).max()) / self._clock(device)
        return max(slowest, self._streamed(works, counts, device))

    def _clock(self, device: Device) -> float:
        return float(device.units["clock_ghz"]) * 1e9

    def _stages(self, launches: Launches) -> tuple[list[Work], Floats]:
        return [work_of(op) for op, _ in launches], np.array([max(float(n), 1e-30) for _, n in launches])

    def _cycles(self, works: list[Work], counts: Floats) -> Floats:
        """Cycles of each stage: rows times the weights that a multiplier goes through; streams pass at line rate."""
        rows = np.array([sum(float(p.m) for p in w.products) / max(len(w.products), 1) for w in works])
        weights = np.array([sum(float(p.n * p.k * p.count) for p in w.products) for w in works]) * counts
        budget = min((self.multipliers(w.format) for w in works if w.products), default=1.0)
        stages = int((weights > 0).sum())
        if stages > budget:
            raise InputError(
                f"{stages:,} stages need a multiplier each and the device has {budget:,.0f}: "
                "set architecture.mode to engine, or give a device with more"
            )
        cycles: Floats = rows * np.ceil(weights / allotted(rows * weights, weights, budget))
        return cycles

    def _streamed(self, works: list[Work], counts: Floats, device: Device) -> float:
        """Seconds of memory traffic of an answer: its ends, and all weights if they do not stay on the chip."""
        weights = float(sum(float(w.weights) * n for w, n in zip(works, counts, strict=True)))
        held = device.cache["sram"] * (1.0 - self.buffers)
        moved = float(works[0].read) + float(works[-1].written) + (weights if weights > held else 0.0)
        return float(moved / (device.memory_bandwidth * self.reached))
