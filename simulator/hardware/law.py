"""The timing law: t = max(FLOP / (peak e_c), bytes / (bandwidth e_m)) + overhead, for each operator.

The roofs are the device's datasheet; the shares `e_c` and `e_m` and the overhead come from its calibration.
All functions take operators whose sizes are numbers or arrays and answer in seconds of the same shape.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simulator.errors import InputError
from simulator.hardware.calibration import Calibration, Curve
from simulator.hardware.collectives import collective_seconds
from simulator.hardware.device import Device
from simulator.hardware.fabric import Fabric
from simulator.workloads.operators import AnyOperator, Attention, Collective, Gemm, Size

# A format without units of its own is computed in the nearest wider one, as libraries do.
_FALLBACK = {
    "nvfp4": ("fp8", "bf16", "fp16", "fp32"),
    "fp8": ("bf16", "fp16", "fp32"),
    "int8": ("bf16", "fp16", "fp32"),
    "bf16": ("fp16", "fp32"),
    "fp16": ("bf16", "fp32"),
}


@dataclass(frozen=True, slots=True)
class Roofs:
    """Seconds under each bound, and the overhead that comes on top of the larger."""

    compute: Size
    memory: Size
    overhead: Size

    def seconds(self) -> Size:
        return np.maximum(self.compute, self.memory) + self.overhead

    def bound(self) -> str:
        """ "compute", "memory" or "launch", whichever is largest (for single numbers)."""
        named = {"compute": self.compute, "memory": self.memory, "launch": self.overhead}
        return max(named, key=lambda name: float(named[name]))


@dataclass(frozen=True, slots=True)
class TimingLaw:
    """Times operators on one device with its calibration and the fabric to its neighbours."""

    device: Device
    calibration: Calibration
    fabric: Fabric

    def peak(self, compute: str) -> float:
        """Peak FLOP/s for an arithmetic format, or for the nearest wider one that the device has."""
        peaks = self.device.peak_flops
        for name in (compute, *_FALLBACK.get(compute, ())):
            if name in peaks:
                return peaks[name]
        raise InputError(f"device {self.device.id} has no {compute} arithmetic: it has {', '.join(sorted(peaks))}")

    def curve(self, op: AnyOperator) -> Curve:
        if isinstance(op, Attention):
            return self.calibration.curves["attention_decode" if op.decode else "attention_prefill"]
        return self.calibration.curves[op.kind]

    def roofs(self, op: AnyOperator) -> Roofs:
        """Seconds of `op` under each roof. An operator of size zero costs nothing, not even its launch."""
        curve = self.curve(op)
        if isinstance(op, Collective):
            busy = np.asarray(op.message) > 0
            return Roofs(0.0 * op.message, collective_seconds(op, self.fabric) * busy, curve.overhead * busy)
        moved = op.bytes()
        flops = op.flops()
        if isinstance(op, Gemm) and curve.tile is not None:
            flops = flops * self._wave_padding(op, curve.tile)
        busy = np.asarray(moved) > 0
        if isinstance(op, Attention):
            busy = np.asarray(op.queries) > 0
        return Roofs(
            flops / (self.peak(op.compute) * curve.compute),
            moved / (self.device.memory_bandwidth * curve.memory),
            curve.overhead * busy,
        )

    def seconds(self, op: AnyOperator) -> Size:
        """Seconds of one call."""
        return self.roofs(op).seconds()

    def _wave_padding(self, op: Gemm, tile: tuple[int, int]) -> Size:
        """Work done over work asked: partial tiles and the last, partly filled wave of tiles are paid in full.

        With fewer tiles than units, libraries split the sum over k, so nothing is lost to the wave there.
        """
        units = self.device.units.get("sm", 1.0)
        rows = np.ceil(np.asarray(op.m) / tile[0])
        tiles = rows * np.ceil(np.asarray(op.n) / tile[1])
        waves = tiles / units
        padded = np.where(waves > 1.0, np.ceil(waves) / np.maximum(waves, 1e-12), 1.0)
        exact = np.maximum(np.asarray(op.m), 1e-12) / tile[0] * np.asarray(op.n) / tile[1]
        return np.where(waves > 1.0, padded * tiles / exact, np.maximum(1.0, rows * tile[0] / np.maximum(op.m, 1e-12)))
