"""Arithmetic inside a Flash device beside an accelerator: each matrix partly multiplied in the dies, partly read out.

Cambricon-LLM (Yu et al., arXiv:2409.15654, section IV): dies read pages and multiply them where they are, while the
channels bring other tiles of the same matrix to the accelerator; the split lets both end together. InstInfer (Pan et
al., arXiv:2409.04992) multiplies in the drive's controller at the bandwidth of its channels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from simulator.hardware.architectures.work import missing_format, work_of
from simulator.hardware.formats import peak_of
from simulator.hardware.kernels import Roofs
from simulator.workloads.operators import AnyOperator, Size

if TYPE_CHECKING:
    from simulator.hardware.device import Device


@dataclass(frozen=True)
class InStorage:
    """`planes` that read a page of `page_bytes` in `read_us` and multiply at `plane_macs` a second each.

    `flash` bytes hold the weights and `channel_bandwidth` bytes a second come out of the device to the accelerator,
    whose peak, memory and bandwidth are the device's own.
    """

    planes: float
    page_bytes: float
    read_us: float
    plane_macs: float
    channel_bandwidth: float
    flash: float

    @property
    def inside_bandwidth(self) -> float:
        """Bytes a second that all planes read together."""
        return self.planes * self.page_bytes / (self.read_us * 1e-6)

    def lacks(self, op: AnyOperator, device: Device) -> str | None:
        return missing_format(op, device)

    def roofs(self, op: AnyOperator, device: Device) -> Roofs:
        """Weights at the rates of dies and channels together; activations and caches in the accelerator's memory."""
        work = work_of(op)
        inside, out = self._rates(work.macs, work.weights)
        share = out / (inside + out)
        compute = (2.0 * work.macs * share + work.flops) / (peak_of(device, work.format) or np.inf)
        memory = work.weights / (inside + out) + (work.read + work.written) / device.memory_bandwidth
        return Roofs(compute, memory, np.where(np.asarray(work.weights) > 0, self.read_us * 1e-6, 0.0))

    def _rates(self, macs: Size, weights: Size) -> tuple[Size, float]:
        """Bytes of weights a second multiplied in the dies, and read out; all of it is read out where none are."""
        a_byte = macs / np.maximum(weights, 1.0)
        multiplied = self.planes * self.plane_macs / np.maximum(a_byte, 1e-30)
        return np.minimum(self.inside_bandwidth, multiplied), self.channel_bandwidth
