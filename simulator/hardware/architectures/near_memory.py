"""Multipliers beside the banks of a DRAM: matrix-vector products at the banks' own bandwidth, all else on a host.

As in HBM-PIM (Lee et al., ISCA 2021), GDDR6-AiM (Kwon et al., Hot Chips 34) and designs on them (AttAcc, Park et al.,
ASPLOS 2024): a bank has no cache, so that each row of the activations makes the matrix pass again. Multipliers on the
logic die under a stack have buffers, where several rows meet the matrix as it passes (Duplex, Yun et al., MICRO 2024).
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
class NearMemory:
    """`inside_bandwidth` bytes a second of all banks together; products of up to `rows` rows go there.

    Inputs and results cross the device's memory bus; a call takes `setup_us` to change the memory's mode. Up to
    `together` rows are multiplied as the matrix passes once.
    """

    inside_bandwidth: float
    rows: float = 1.0
    setup_us: float = 1.0
    together: float = 1.0

    def lacks(self, op: AnyOperator, device: Device) -> str | None:
        """What is no matrix-vector product, or wants another format, goes to the host."""
        work = work_of(op)
        if not work.products:
            return f"{op.kind} kernels"
        if max(float(np.max(p.m)) for p in work.products) > self.rows:
            return f"products of more than {self.rows:g} rows"
        return missing_format(op, device)

    def roofs(self, op: AnyOperator, device: Device) -> Roofs:
        """The matrix once for each row, or for as many as are multiplied together, against all multipliers."""
        work = work_of(op)
        matrix: Size = sum((p.n * p.k * p.count for p in work.products), 0.0)
        held = np.where(np.asarray(work.weights) > 0, work.weights, np.maximum(work.read, 0.0))
        passes = np.maximum(work.macs / matrix / self.together, 1.0)
        inside = held * passes / self.inside_bandwidth
        vectors = np.where(np.asarray(work.weights) > 0, work.read, 0.0) + work.written
        compute = (2.0 * work.macs + work.flops) / (peak_of(device, work.format) or np.inf)
        return Roofs(compute, inside + vectors / device.memory_bandwidth, self.setup_us * 1e-6)
